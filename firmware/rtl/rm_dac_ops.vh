// Operations of rm_dac.
`ifndef RM_DAC_OPS_VH
`define RM_DAC_OPS_VH
`define DAC_LOAD 3'd0
`define DAC_UPDATE 3'd1
`define DAC_REST 3'd2
`define DAC_SET_UP 3'd3
`define DAC_FRAME 3'd4
`endif
