# Constraints of XDC, checked as they are read: objects must exist, names of options and properties must be Vivado's (UG835, UG912).
# A test sets `ports` (names of bits), `registers` (paths of flip-flops). Each constraint is printed, its words apart by tabs.

set clocks [list clk_fpga_0]

proc say {args} {puts [join $args "\t"]}

proc get_ports {pattern} {
    set found [list]
    foreach port $::ports {
        if {$port eq $pattern || [regsub {\[\d+\]$} $port {[*]}] eq $pattern} {
            lappend found $port
        }
    }
    if {![llength $found]} {
        error "no port $pattern"
    }
    return $found
}
proc get_clocks {name} {
    if {$name ni $::clocks} {
        error "no clock $name"
    }
    return $name
}
proc get_pins {hierarchical option filter} {
    if {$hierarchical ne "-hierarchical" || $option ne "-filter" || ![regexp {^NAME =~ (\*/\S+)/C$} $filter all pattern]} {
        error "get_pins $hierarchical $option $filter"
    }
    set found [lsearch -all -inline -glob $::registers $pattern]
    if {[llength $found] != 1} {
        error "$pattern is [llength $found] registers"
    }
    return $found
}

# Options of a command, each of them known.
proc known {command words valued flags} {
    lassign [options $words $flags] named rest
    foreach name [dict keys $named] {
        if {$name ni $valued && $name ni $flags} {
            error "$command has no option $name"
        }
    }
    return [list $named $rest]
}
source [file join [file dirname [info script]] objects.tcl]

proc set_property {args} {
    lassign [known set_property $args -dict {}] named rest
    foreach port [lindex $rest 0] {
        dict for {name value} [dict get $named -dict] {
            if {$name ni {PACKAGE_PIN IOSTANDARD DRIVE SLEW PULLTYPE}} {
                error "no property $name of a port"
            }
            say property $port $name $value
        }
    }
}
proc create_generated_clock {args} {
    lassign [known create_generated_clock $args {-name -source -divide_by} {}] named rest
    lappend ::clocks [dict get $named -name]
    say clock [dict get $named -name] [dict get $named -divide_by] [lindex $rest 0]
}
foreach side {input output} {
    proc set_${side}_delay {args} [string map [list SIDE $side] {
        lassign [known set_SIDE_delay $args -clock {-max -min -clock_fall}] named rest
        lassign $rest delay ports
        foreach port $ports {
            set limit [expr {[dict exists $named -max] ? "max" : "min"}]
            set edge [expr {[dict exists $named -clock_fall] ? "fall" : "rise"}]
            say SIDE $port [dict get $named -clock] $edge $limit $delay
        }
    }]
}
proc set_multicycle_path {args} {
    lassign [known set_multicycle_path $args {-from -to} {-setup -hold -start -end}] named rest
    set ends [concat [dict get $named -from] [dict get $named -to]]
    set check [expr {[dict exists $named -setup] ? "setup" : "hold"}]
    set counted [expr {[dict exists $named -start] ? "start" : "end"}]
    foreach port [lsearch -all -inline -not -exact $ends clk_fpga_0] {
        say multicycle $port $check $counted [lindex $rest 0]
    }
}
proc set_max_delay {args} {
    lassign [known set_max_delay $args {-from -to} -datapath_only] named rest
    foreach port [dict get $named -to] {
        say level $port [lindex $rest 0]
    }
}
