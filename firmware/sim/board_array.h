/* An array for board_sim_set_array that multiplies. What it multiplies by belongs to whoever knows the cells: that one is
 * asked when it may have changed, and otherwise an ADC's sample costs a product and no call into another language.
 *
 * Rows are the SLs that a TIA senses, columns the BLs that a DAC drives.
 */
#ifndef RM_BOARD_ARRAY_H
#define RM_BOARD_ARRAY_H

#include "board_sim.h"

#define RM_ARRAY_CHANNELS 64u /* DAC channels, and TIAs */

typedef struct board_array {
    void (*renew)(void);           /* sets columns .. shielding for the lines as they are, stale and renew_at */
    void (*draw)(void);            /* sets normals and normals_left */
    void (*bend)(void);            /* NULL, or sets excess from codes: what cells that are not ohmic add */
    uint32_t stale;                /* not 0: renew before the next sample. Any thread may set it */
    uint32_t rest_code;            /* DAC code of the virtual ground */
    uint64_t samples;              /* so far */
    uint64_t renew_at;             /* samples at which cells may have drifted too far */
    uint32_t rows, columns;
    const uint16_t *dac_of_column;
    const int16_t *row_of_tia;     /* RM_ARRAY_CHANNELS; -1: no SL, the ADC samples 0 */
    const double *weight;          /* rows x columns: codes of an ADC per code of a DAC from rest */
    const double *variance;        /* same shape, squared: of the cells' noise; NULL: none */
    const double *shielding;       /* rows: 1 per code of an ADC; see sim_backend/cell_noise.py; with variance only */
    const double *offset;          /* rows: codes of an ADC at zero input */
    double adc_variance;           /* codes squared, of one conversion; without any noise 0 */
    const double *normals;         /* standard normal numbers, used one after the other */
    uint64_t normals_left;
    double codes[RM_ARRAY_CHANNELS]; /* of the columns, from rest, at the last sample */
    double excess[RM_ARRAY_CHANNELS]; /* of the rows */
} board_array;

/* A board_sim_array; context is a board_array. */
void board_array_sample(void *context, const board_sim_lines *lines, double *input);

#endif
