# The block design: the processing system, the array board's logic at M_AXI_GP0, one clock and one reset for both.

# A cell of an IP of the catalogue.
proc add_ip {vlnv name args} {
    set cell [create_bd_cell -type ip -vlnv $vlnv $name]
    if {[llength $args]} {
        set_property -dict $args $cell
    }
    return $cell
}

# What has a name in the block design; a name that does not exist is an error and not a warning.
proc find_object {what pins ports name} {
    set object [$pins -quiet $name]
    if {$object eq ""} {
        set object [$ports -quiet $name]
    }
    if {$object eq ""} {
        error "no $what $name in the block design"
    }
    return $object
}

# Join pins and ports by name.
proc join_pins {args} {
    set found [list]
    foreach name $args {
        lappend found [find_object "pin or port" get_bd_pins get_bd_ports $name]
    }
    connect_bd_net {*}$found
}

# Join two interfaces, each a pin of a cell or an external one.
proc join_interfaces {args} {
    set found [list]
    foreach name $args {
        lappend found [find_object interface get_bd_intf_pins get_bd_intf_ports $name]
    }
    connect_bd_intf_net {*}$found
}

proc add_processing_system {overlay} {
    # The preset sets DDR, MIO and peripherals of the ZC706; it belongs to the IP and needs no board files.
    add_ip xilinx.com:ip:processing_system7:5.5 ps7 CONFIG.preset [dict get $overlay preset]
    set_property -dict [list \
        CONFIG.PCW_USE_M_AXI_GP0 1 \
        CONFIG.PCW_EN_CLK0_PORT 1 \
        CONFIG.PCW_EN_RST0_PORT 1 \
        CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ [dict get $overlay clock_mhz] \
        CONFIG.PCW_USE_FABRIC_INTERRUPT 1 \
        CONFIG.PCW_IRQ_F2P_INTR 1 \
    ] [get_bd_cells ps7]
    create_bd_intf_port -mode Master -vlnv xilinx.com:interface:ddrx_rtl:1.0 DDR
    create_bd_intf_port -mode Master -vlnv xilinx.com:display_processing_system7:fixedio_rtl:1.0 FIXED_IO
    join_interfaces ps7/DDR DDR
    join_interfaces ps7/FIXED_IO FIXED_IO
}

# The array board's logic, and an external port for each of its pins. build_id: 0x and eight digits.
proc add_board {overlay build_id} {
    set cell [create_bd_cell -type module -reference [dict get $overlay module] board]
    set_property CONFIG.BUILD_ID $build_id $cell
    if {[expr {[get_property CONFIG.BUILD_ID $cell]}] != [expr {$build_id}]} {
        error "BUILD_ID became [get_property CONFIG.BUILD_ID $cell], not $build_id"
    }
    dict for {name shape} [dict get $overlay ports] {
        lassign $shape direction width
        if {$width > 0} {
            create_bd_port -dir $direction -from [expr {$width - 1}] -to 0 $name
        } else {
            create_bd_port -dir $direction $name
        }
        connect_bd_net [get_bd_ports $name] [get_bd_pins board/$name]
    }
}

proc connect_system {} {
    # AXI3 of the processing system to AXI4-Lite of the board.
    add_ip xilinx.com:ip:smartconnect:1.0 axi CONFIG.NUM_SI 1 CONFIG.NUM_MI 1
    add_ip xilinx.com:ip:proc_sys_reset:5.0 reset
    join_pins ps7/FCLK_CLK0 ps7/M_AXI_GP0_ACLK axi/aclk reset/slowest_sync_clk board/clk
    join_pins ps7/FCLK_RESET0_N reset/ext_reset_in
    join_pins reset/peripheral_aresetn axi/aresetn
    join_pins reset/peripheral_reset board/rst
    join_pins board/irq ps7/IRQ_F2P
    join_interfaces ps7/M_AXI_GP0 axi/S00_AXI
    join_interfaces axi/M00_AXI board/s_axi
}

# The board's registers at their address; the daemon and pynq find them there.
proc assign_registers {overlay} {
    assign_bd_address -target_address_space [get_bd_addr_spaces ps7/Data] \
        -offset [dict get $overlay base_address] -range [dict get $overlay bytes] [get_bd_addr_segs board/s_axi/reg0]
    set mapped [get_bd_addr_segs -of_objects [get_bd_addr_spaces ps7/Data]]
    if {[llength $mapped] != 1} {
        error "the processing system sees [llength $mapped] address segments, expected the board's"
    }
    foreach {property key} {OFFSET base_address RANGE bytes} {
        if {[expr {[get_property $property $mapped]}] != [expr {[dict get $overlay $key]}]} {
            error "$property of the registers became [get_property $property $mapped], not [dict get $overlay $key]"
        }
    }
}

# Make the block design; returns its file.
proc make_design {name overlay build_id} {
    create_bd_design $name
    add_processing_system $overlay
    add_board $overlay $build_id
    connect_system
    assign_registers $overlay
    validate_bd_design
    save_bd_design
    return [get_files $name.bd]
}
