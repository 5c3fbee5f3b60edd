/* The Verilated board as the daemon's back end, beyond hal.h. */
#ifndef RM_HAL_RTL_H
#define RM_HAL_RTL_H

#include "board_sim.h"

/* Work on this board, made with the library that hal_open is given; it stays the caller's. NULL: hal_open makes one. */
void hal_rtl_use(board_sim *sim);

#endif
