# Builds the overlay of one board description:
#   vivado -mode batch -source build.tcl -tclargs BOARD OUT BUILD_ID
# BOARD: name of a description in ../boards. OUT: folder for NAME.bit, NAME.hwh, NAME.json and reports; NAME is rmhil_BOARD.
# BUILD_ID: 0x and eight digits, what the register BUILD_ID will read.
# Ends with an error, and without a bitstream in OUT, where timing is not met or anything gave a critical warning.

set here [file dirname [file normalize [info script]]]
source [file join $here design.tcl]
source [file join $here results.tcl]

proc read_arguments {words} {
    if {[llength $words] != 3} {
        error "expected BOARD OUT BUILD_ID, got: $words"
    }
    lassign $words board out build_id
    if {![regexp {^0x[0-9a-fA-F]{8}$} $build_id]} {
        error "BUILD_ID $build_id is not 0x and eight digits"
    }
    return [list $board [file normalize $out] $build_id]
}

proc read_overlay {here board} {
    set path [file join $here generated $board overlay.tcl]
    if {![file exists $path]} {
        error "no board description $board: $path does not exist"
    }
    source $path
    return $overlay
}

# Sources of the logic, and the folders of what they include.
proc add_sources {firmware board} {
    set generated [file join $firmware regmap generated]
    set folders [list [file join $firmware rtl] $generated [file join $generated boards $board]]
    set sources [glob -directory [file join $firmware rtl] *.v]
    lappend sources [file join $generated rm_registers.v]
    lappend sources [file join $firmware vivado generated $board rm_overlay.v]
    add_files -norecurse -fileset sources_1 $sources
    set headers [concat [glob -directory [file join $firmware rtl] *.vh] [file join $generated rm_map.vh] \
        [file join $generated boards $board rm_board.vh]]
    add_files -norecurse -fileset sources_1 $headers
    set_property file_type {Verilog Header} [get_files $headers]
    set_property include_dirs $folders [get_filesets sources_1]
    update_compile_order -fileset sources_1
}

proc add_constraints {here board} {
    set pins [file join $here generated $board pins.xdc]
    set timing [file join $here generated $board timing.xdc]
    add_files -norecurse -fileset constrs_1 [list $pins $timing]
    # It names registers of the whole design, which synthesis of the top level does not see.
    set_property used_in_synthesis false [get_files $timing]
}

proc make_top {design} {
    # One synthesis of everything: its log is the only one, and the registers' paths are those that timing.xdc names.
    set_property synth_checkpoint_mode None $design
    generate_target all $design
    add_files -norecurse -fileset sources_1 [make_wrapper -files $design -top]
    set_property top overlay_wrapper [get_filesets sources_1]
    update_compile_order -fileset sources_1
}

# Synthesis to bitstream; an error where a run does not get to its end.
proc run_all {jobs} {
    launch_runs impl_1 -to_step write_bitstream -jobs $jobs
    wait_on_run impl_1
    foreach run {synth_1 impl_1} {
        if {[get_property PROGRESS [get_runs $run]] ne "100%"} {
            error "$run ended with: [get_property STATUS [get_runs $run]]"
        }
    }
    open_run impl_1
}

lassign [read_arguments $argv] board out build_id
set overlay [read_overlay $here $board]
set name rmhil_$board
file mkdir $out
file delete {*}[glob -nocomplain -directory $out $name.bit $name.hwh $name.json]
if {[dict get $overlay pins] eq "example"} {
    puts "pins of $board are an EXAMPLE: this bitstream is not for a board"
}

create_project -force $name [file join $out project] -part [dict get $overlay part]
add_sources [file dirname $here] $board
make_top [make_design overlay $overlay $build_id]
add_constraints $here $board
run_all 4
write_reports $out
check_messages
set slacks [check_timing_met]
export_overlay $out $name $overlay $build_id $slacks
puts "$name is in $out"
