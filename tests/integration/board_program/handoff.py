"""A hardware hand-off (.hwh) as Vivado writes it, as far as pynq reads it: made from the files that Vivado is given."""

from __future__ import annotations

from xml.etree import ElementTree as ET

IO_PLL_HZ = 1_000_000_000
"""Hz: what the fabric clocks are divided from on the ZC706 (33.333 MHz, UG954, times 30)."""


def _parameters(module: ET.Element, values: dict[str, str]) -> None:
    parameters = ET.SubElement(module, "PARAMETERS")
    for name, value in values.items():
        ET.SubElement(parameters, "PARAMETER", NAME=name, VALUE=value)


def _module(modules: ET.Element, instance: str, vlnv: str) -> ET.Element:
    kind, version = vlnv.split(":")[2:]
    return ET.SubElement(
        modules,
        "MODULE",
        COREREVISION="1",
        FULLNAME=f"/{instance}",
        HWVERSION=version,
        INSTANCE=instance,
        IPTYPE="PERIPHERAL",
        IS_ENABLE="1",
        MODCLASS="PERIPHERAL",
        MODTYPE=kind,
        VLNV=vlnv,
    )


def _port(ports: ET.Element, name: str, direction: str, net: str, other: tuple[str, str], kind: str = "undef") -> None:
    port = ET.SubElement(ports, "PORT", DIR=direction, NAME=name, SIGIS=kind, SIGNAME=net)
    connections = ET.SubElement(port, "CONNECTIONS")
    ET.SubElement(connections, "CONNECTION", INSTANCE=other[0], PORT=other[1])


def _bus(module: ET.Element, name: str, net: str, kind: str) -> None:
    buses = module.find("BUSINTERFACES")
    buses = ET.SubElement(module, "BUSINTERFACES") if buses is None else buses
    bus = ET.SubElement(
        buses, "BUSINTERFACE", BUSNAME=net, DATAWIDTH="32", NAME=name, TYPE=kind, VLNV="xilinx.com:interface:aximm:1.0"
    )
    ET.SubElement(bus, "PORTMAPS")


def _processing_system(modules: ET.Element, clock_hz: int, address: int, size: int) -> None:
    system = _module(modules, "ps7", "xilinx.com:ip:processing_system7:5.5")
    clocks = {f"PCW_FPGA_FCLK{number}_ENABLE": str(int(number == 0)) for number in range(4)}
    for number in range(4):
        # pynq writes both divisors to the processing system when it loads the overlay
        clocks[f"PCW_FCLK{number}_PERIPHERAL_DIVISOR0"] = str(IO_PLL_HZ // clock_hz // 2)
        clocks[f"PCW_FCLK{number}_PERIPHERAL_DIVISOR1"] = "2"
        clocks[f"PCW_FCLK{number}_PERIPHERAL_CLKSRC"] = "IO PLL"
    _parameters(system, {"PCW_UIPARAM_DDR_ENABLE": "1", "PCW_USE_M_AXI_GP0": "1", **clocks})
    ports = ET.SubElement(system, "PORTS")
    _port(ports, "FCLK_CLK0", "O", "ps7_FCLK_CLK0", ("board", "clk"), "clk")
    _port(ports, "IRQ_F2P", "I", "board_irq", ("board", "irq"), "INTERRUPT")
    _bus(system, "M_AXI_GP0", "ps7_M_AXI_GP0", "MASTER")
    memory = ET.SubElement(system, "MEMORYMAP")
    ET.SubElement(
        memory,
        "MEMRANGE",
        ADDRESSBLOCK="reg0",
        BASENAME="C_BASEADDR",
        BASEVALUE=f"0x{address:08X}",
        HIGHNAME="C_HIGHADDR",
        HIGHVALUE=f"0x{address + size - 1:08X}",
        INSTANCE="board",
        IS_DATA="TRUE",
        IS_INSTRUCTION="TRUE",
        MASTERBUSINTERFACE="M_AXI_GP0",
        MEMTYPE="REGISTER",
        SLAVEBUSINTERFACE="s_axi",
    )
    ET.SubElement(ET.SubElement(system, "PERIPHERALS"), "PERIPHERAL", INSTANCE="board")


def handoff(module: str, clock_hz: int, address: int, size: int) -> str:
    """The text of a .hwh.

    Args:
        module: of the block design that has the registers.
        clock_hz: Hz, of FCLK_CLK0.
        address, size: of the registers.
    """
    root = ET.Element("EDKSYSTEM", EDWVERSION="1.2", TIMESTAMP="Mon Jan  1 00:00:00 2024", VIVADOVERSION="2023.2")
    ET.SubElement(root, "SYSTEMINFO", ARCH="zynq", DEVICE="7z045", NAME="overlay", PACKAGE="ffg900", SPEEDGRADE="-2")
    ET.SubElement(root, "EXTERNALPORTS")
    ET.SubElement(root, "EXTERNALINTERFACES")
    modules = ET.SubElement(root, "MODULES")
    board = _module(modules, "board", f"xilinx.com:module_ref:{module}:1.0")
    _parameters(board, {"BUILD_ID": "0x00000000", "C_BASEADDR": f"0x{address:08X}"})
    ports = ET.SubElement(board, "PORTS")
    _port(ports, "clk", "I", "ps7_FCLK_CLK0", ("ps7", "FCLK_CLK0"), "clk")
    _port(ports, "irq", "O", "board_irq", ("ps7", "IRQ_F2P"), "INTERRUPT")
    _bus(board, "s_axi", "ps7_M_AXI_GP0", "SLAVE")
    _processing_system(modules, clock_hz, address, size)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)
