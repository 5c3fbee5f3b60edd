# The project's commands, and runs that leave the files that Vivado would leave. Needs objects.tcl.
# A test sets `warnings` ({severity-count}), `log` (text of runme.log of impl_1) and `answers`.

set warnings 0
set log ""
set files [dict create]
set answers [dict create STATS.WNS 1.2 STATS.WHS 0.05 STATS.TPWS 0.000 PROGRESS 100% STATUS complete]

proc create_project {args} {
    lassign [options $args {-force}] named rest
    if {[dict get $named -part] ne "xc7z045ffg900-2"} {
        error "no part [dict get $named -part]"
    }
    set ::project [lindex $rest 1]
    file mkdir $::project
    note create_project
}
proc current_project {} {return project}

proc add_files {args} {
    lassign [options $args {-norecurse}] named rest
    foreach path [lindex $rest 0] {
        if {![file exists $path]} {
            error "add_files: $path does not exist"
        }
        dict set ::files $path [dict get $named -fileset]
    }
}
proc get_files {names} {
    if {[string match *.bd $names]} {
        return [expr {[file rootname $names] eq $::design ? $names : ""}]
    }
    foreach name $names {
        if {![dict exists $::files $name]} {
            error "get_files: $name is not in the project"
        }
    }
    return $names
}
proc get_filesets {name} {
    if {$name ni {sources_1 constrs_1}} {
        error "no fileset $name"
    }
    return $name
}
proc update_compile_order {args} {}
proc generate_target {what file} {note generate_target}
proc make_wrapper {args} {
    note make_wrapper
    set path [file join $::project $::design\_wrapper.v]
    close [open $path w]
    return $path
}

proc set_property {args} {
    lassign [options $args {}] named rest
    if {[dict exists $named -dict]} {
        set pairs [dict get $named -dict]
        set object [lindex $rest 0]
    } else {
        set pairs [lrange $rest 0 1]
        set object [lindex $rest 2]
    }
    if {$object eq ""} {
        error "set_property: no object"
    }
    dict for {name value} $pairs {
        if {[dict exists $::cells $object]} {
            set_bd_property $name $object $value
        } elseif {$name ni {file_type include_dirs used_in_synthesis top synth_checkpoint_mode}} {
            error "set_property: no property $name"
        } else {
            dict set ::properties $object $name $value
        }
    }
}
proc get_property {name object} {
    if {[dict exists $::properties $object $name]} {
        return [dict get $::properties $object $name]
    }
    if {$name eq "DIRECTORY"} {
        return [expr {$object eq "project" ? $::project : [file join $::project runs $object]}]
    }
    return [dict get $::answers $name]
}

proc get_runs {{name *}} {
    return [expr {$name eq "*" ? {synth_1 impl_1} : $name}]
}
proc launch_runs {args} {
    lassign [options $args {}] named rest
    if {[dict get $named -to_step] ne "write_bitstream" || $rest ne "impl_1"} {
        error "launch_runs: $args"
    }
    foreach run [get_runs] {
        file mkdir [file join $::project runs $run]
        set file [open [file join $::project runs $run runme.log] w]
        puts $file [expr {$run eq "impl_1" ? $::log : "INFO: done"}]
        close $file
    }
    set bit [open [file join $::project runs impl_1 $::design\_wrapper.bit] w]
    puts $bit bitstream
    close $bit
    set folder [file join $::project rmhil.gen sources_1 bd $::design hw_handoff]
    file mkdir $folder
    set handoff [open [file join $folder $::design.hwh] w]
    puts $handoff <EDKSYSTEM/>
    close $handoff
    note launch_runs
}
proc wait_on_run {name} {}
proc open_run {name} {note open_run}
foreach report {report_timing_summary report_utilization report_io report_drc report_methodology} {
    proc $report {args} [string map [list NAME $report] {
        lassign [options $args {-check_timing_verbose -hierarchical}] named rest
        close [open [dict get $named -file] w]
        note NAME
    }]
}
proc get_msg_config {args} {return $::warnings}
proc version {args} {return stub}
