# What came out of the runs: reports, what stops a build, and the files that go to the board.

proc write_reports {out} {
    report_timing_summary -check_timing_verbose -file [file join $out timing.rpt]
    report_utilization -hierarchical -file [file join $out utilisation.rpt]
    report_io -file [file join $out io.rpt]
    report_drc -file [file join $out drc.rpt]
    report_methodology -file [file join $out methodology.rpt]
}

# Critical warnings of this process and of every run; a run writes into a log of its own.
proc critical_warnings {} {
    set found [list]
    set here [get_msg_config -severity {CRITICAL WARNING} -count]
    if {$here > 0} {
        lappend found "$here in vivado.log"
    }
    foreach run [get_runs] {
        set path [file join [get_property DIRECTORY $run] runme.log]
        if {![file exists $path]} {
            error "no log of the run $run at $path"
        }
        set log [open $path]
        foreach line [split [read $log] "\n"] {
            if {[string match "CRITICAL WARNING:*" $line]} {
                lappend found "$run: $line"
            }
        }
        close $log
    }
    return $found
}

proc check_messages {} {
    set found [critical_warnings]
    if {[llength $found]} {
        error "critical warnings:\n  [join $found "\n  "]"
    }
}

# Slacks in ns: the worst of set-up and of hold, and the sum of what pulse widths lack. An error where one is below zero or was
# not calculated.
proc check_timing_met {} {
    set slacks [dict create]
    foreach {kind property} {setup STATS.WNS hold STATS.WHS pulse_width STATS.TPWS} {
        set slack [get_property $property [get_runs impl_1]]
        if {![string is double -strict $slack]} {
            error "timing: no slack of $kind ($property is '$slack')"
        }
        dict set slacks $kind $slack
    }
    dict for {kind slack} $slacks {
        if {!($slack >= 0)} {
            error "timing is not met: slack of $kind is $slack ns; see timing.rpt"
        }
    }
    return $slacks
}

# Vivado puts the hardware hand-off beside the generated block design: .gen from 2020.2 on, .srcs before.
proc find_handoff {} {
    set project [get_property DIRECTORY [current_project]]
    set found [glob -nocomplain -directory $project */sources_1/bd/overlay/hw_handoff/overlay.hwh]
    if {[llength $found] != 1} {
        error "expected one overlay.hwh below $project, found [llength $found]"
    }
    return [lindex $found 0]
}

# NAME.bit, NAME.hwh, and NAME.json by which the loader knows what it should find.
proc export_overlay {out name overlay build_id slacks} {
    set bitstream [file join [get_property DIRECTORY [get_runs impl_1]] overlay_wrapper.bit]
    file copy -force $bitstream [file join $out $name.bit]
    file copy -force [find_handoff] [file join $out $name.hwh]
    set json [open [file join $out $name.json] w]
    puts $json "{"
    foreach key {board pins part map_hash board_hash base_address module} {
        puts $json "  \"$key\": \"[dict get $overlay $key]\","
    }
    puts $json "  \"clock_hz\": [dict get $overlay clock_hz],"
    puts $json "  \"bytes\": [dict get $overlay bytes],"
    dict for {kind slack} $slacks {
        puts $json "  \"${kind}_slack_ns\": $slack,"
    }
    puts $json "  \"vivado\": \"[version -short]\","
    puts $json "  \"build_id\": \"$build_id\""
    puts $json "}"
    close $json
}
