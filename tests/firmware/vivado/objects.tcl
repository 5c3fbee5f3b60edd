# What a script for Vivado is run with where Vivado is not: the block design's commands on cells, pins and interfaces that exist,
# with the checks that Vivado makes of them. Pins of IPs are those that their product guides list (PG082 and PG247,
# PG164); pins of the module come from its Verilog.
# A test sets `module_ports` ({name direction width} ..), `taken` (a list that names of commands are added to), and may set
# `answers`: what get_property gives, by property.

set taken [list]
set answers [dict create]

# Cells: name -> vlnv. Pins: cell/pin -> {direction width}. Interfaces: cell/interface -> {mode kind}.
set cells [dict create]
set pins [dict create]
set interfaces [dict create]
set ports [dict create]
set joined [dict create]
set properties [dict create]

set ip_pins [dict create \
    xilinx.com:ip:processing_system7:5.5 {
        FCLK_CLK0 {O 0} FCLK_RESET0_N {O 0} M_AXI_GP0_ACLK {I 0} IRQ_F2P {I 1}
    } \
    xilinx.com:ip:smartconnect:1.0 {aclk {I 0} aresetn {I 0}} \
    xilinx.com:ip:proc_sys_reset:5.0 {
        slowest_sync_clk {I 0} ext_reset_in {I 0} peripheral_reset {O 1} peripheral_aresetn {O 1}
        interconnect_aresetn {O 1} bus_struct_reset {O 1} mb_reset {O 0}
    } \
]
set ip_interfaces [dict create \
    xilinx.com:ip:processing_system7:5.5 {
        M_AXI_GP0 {master axi} DDR {external ddrx} FIXED_IO {external fixedio}
    } \
    xilinx.com:ip:smartconnect:1.0 {S00_AXI {slave axi} M00_AXI {master axi}} \
    xilinx.com:ip:proc_sys_reset:5.0 {} \
]
set ip_properties [dict create \
    xilinx.com:ip:processing_system7:5.5 {
        CONFIG.preset CONFIG.PCW_USE_M_AXI_GP0 CONFIG.PCW_EN_CLK0_PORT CONFIG.PCW_EN_RST0_PORT
        CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ CONFIG.PCW_USE_FABRIC_INTERRUPT CONFIG.PCW_IRQ_F2P_INTR
    } \
    xilinx.com:ip:smartconnect:1.0 {CONFIG.NUM_SI CONFIG.NUM_MI} \
    xilinx.com:ip:proc_sys_reset:5.0 {CONFIG.C_EXT_RST_WIDTH} \
]

# Split words into options, which take a value unless they are flags, and the rest.
proc options {words flags} {
    set named [dict create]
    set rest [list]
    for {set i 0} {$i < [llength $words]} {incr i} {
        set word [lindex $words $i]
        if {[string match -* $word] && ![string is double -strict $word]} {
            if {$word in $flags} {
                dict set named $word 1
            } else {
                dict set named $word [lindex $words [incr i]]
            }
        } else {
            lappend rest $word
        }
    }
    return [list $named $rest]
}

proc note {command} {
    lappend ::taken $command
}

proc create_bd_design {name} {
    note create_bd_design
    set ::design $name
}

proc create_bd_cell {args} {
    lassign [options $args {}] named rest
    set name [lindex $rest 0]
    if {[dict exists $::cells $name]} {
        error "cell $name exists"
    }
    if {[dict get $named -type] eq "module"} {
        set kind [dict get $named -reference]
        if {$kind ne $::module_name} {
            error "no module $kind in the sources"
        }
        foreach {pin direction width} $::module_ports {
            if {![string match s_axi_* $pin]} {
                dict set ::pins $name/$pin [list $direction $width]
            }
        }
        dict set ::interfaces $name/s_axi {slave axi}
    } else {
        set kind [dict get $named -vlnv]
        if {![dict exists $::ip_pins $kind]} {
            error "no IP $kind in the catalogue"
        }
        dict for {pin shape} [dict get $::ip_pins $kind] {
            dict set ::pins $name/$pin $shape
        }
        dict for {interface shape} [dict get $::ip_interfaces $kind] {
            dict set ::interfaces $name/$interface $shape
        }
    }
    dict set ::cells $name $kind
    note create_bd_cell
    return $name
}

proc create_bd_port {args} {
    lassign [options $args {}] named rest
    set width 0
    if {[dict exists $named -from]} {
        set width [expr {[dict get $named -from] - [dict get $named -to] + 1}]
    }
    dict set ::ports [lindex $rest 0] [list [dict get $named -dir] $width]
    return [lindex $rest 0]
}

proc create_bd_intf_port {args} {
    lassign [options $args {}] named rest
    regexp {interface:(\w+)_rtl:|processing_system7:(\w+)_rtl:} [dict get $named -vlnv] all first second
    dict set ::interfaces :[lindex $rest 0] [list external $first$second]
    return :[lindex $rest 0]
}

proc existing {table name} {
    return [expr {[dict exists $table $name] ? $name : ""}]
}

proc get_bd_cells {args} {existing $::cells [lindex $args end]}
proc get_bd_pins {args} {existing $::pins [lindex $args end]}
proc get_bd_ports {args} {existing $::ports [lindex $args end]}
proc get_bd_intf_pins {args} {existing $::interfaces [lindex $args end]}
proc get_bd_intf_ports {args} {existing $::interfaces :[lindex $args end]}

# {drives width} of a pin, or of a port as it is seen from inside.
proc side {name} {
    if {[dict exists $::pins $name]} {
        lassign [dict get $::pins $name] direction width
        return [list [expr {$direction eq "O"}] $width]
    }
    if {![dict exists $::ports $name]} {
        error "connect_bd_net: '$name' is no pin and no port"
    }
    lassign [dict get $::ports $name] direction width
    return [list [expr {$direction eq "I"}] $width]
}

proc connect_bd_net {args} {
    set drivers 0
    set widths [list]
    foreach name $args {
        lassign [side $name] drives width
        incr drivers $drives
        lappend widths [expr {$width > 1 ? $width : 1}]
        if {[dict exists $::joined $name]} {
            error "$name is connected already"
        }
        dict set ::joined $name 1
    }
    if {$drivers != 1} {
        error "net of $args has $drivers drivers"
    }
    if {[llength [lsort -unique $widths]] != 1} {
        error "net of $args joins widths $widths"
    }
}

proc connect_bd_intf_net {first second} {
    foreach name [list $first $second] {
        if {![dict exists $::interfaces $name]} {
            error "connect_bd_intf_net: '$name' is no interface"
        }
        if {[dict exists $::joined $name]} {
            error "$name is connected already"
        }
        dict set ::joined $name 1
    }
    lassign [dict get $::interfaces $first] mode kind
    lassign [dict get $::interfaces $second] other_mode other_kind
    if {$kind ne $other_kind || [lsort [list $mode $other_mode]] ni {{master slave} {external external}}} {
        error "$first ($mode $kind) does not go with $second ($other_mode $other_kind)"
    }
}

proc get_bd_addr_spaces {name} {
    return [expr {$name eq "ps7/Data" ? $name : ""}]
}

proc get_bd_addr_segs {args} {
    lassign [options $args {}] named rest
    if {[dict exists $named -of_objects]} {
        return [expr {[dict exists $::properties segment] ? "segment" : ""}]
    }
    set cell [string range [lindex $rest 0] 0 end-[string length /reg0]]
    return [existing $::interfaces $cell]
}

proc assign_bd_address {args} {
    lassign [options $args {}] named rest
    if {[dict get $named -target_address_space] eq "" || [lindex $rest 0] eq ""} {
        error "assign_bd_address: no address space or no segment"
    }
    dict set ::properties segment OFFSET [dict get $named -offset]
    dict set ::properties segment RANGE [dict get $named -range]
    note assign_bd_address
}

proc validate_bd_design {} {
    foreach name [concat [dict keys $::pins] [dict keys $::ports] [dict keys $::interfaces]] {
        set spare {reset/interconnect_aresetn reset/bus_struct_reset reset/mb_reset}
        if {![dict exists $::joined $name] && $name ni $spare} {
            error "$name is not connected"
        }
    }
    if {![dict exists $::properties segment]} {
        error "the registers have no address"
    }
    note validate_bd_design
}

proc save_bd_design {} {note save_bd_design}

proc set_bd_property {name object value} {
    set kind [dict get $::cells $object]
    set known [expr {[dict exists $::ip_properties $kind] ? [dict get $::ip_properties $kind] : {CONFIG.BUILD_ID}}]
    if {$name ni $known} {
        error "$kind has no property $name"
    }
    dict set ::properties $object $name $value
}
