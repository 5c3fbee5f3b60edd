#include "board_array.h"

#include <math.h>
#include <stddef.h>

static double product(const double *left, const double *right, size_t count)
{
    double sum = 0.0;
    for (size_t n = 0; n < count; n++) sum += left[n] * right[n];
    return sum;
}

static double next_normal(board_array *array)
{
    if (array->normals_left == 0) array->draw();
    array->normals_left--;
    return *array->normals++;
}

/* The cells' noise is stated for their whole current, the TIA's offset apart: hence the term with the offset. */
static double noise(board_array *array, size_t row, double current, const double *squares)
{
    double variance = array->adc_variance;
    if (array->variance != NULL) {
        const double shielding = array->shielding[row];
        variance += product(array->variance + row * array->columns, squares, array->columns);
        variance += current * shielding * (current - 2.0 * array->offset[row]);
    }
    return variance > 0.0 ? next_normal(array) * sqrt(variance) : 0.0;
}

static double row_input(board_array *array, size_t row, const double *squares)
{
    double current = array->offset[row] + product(array->weight + row * array->columns, array->codes, array->columns);
    if (array->bend != NULL) current += array->excess[row];
    return current + noise(array, row, current, squares);
}

void board_array_sample(void *context, const board_sim_lines *lines, double *input)
{
    board_array *array = context;
    double squares[RM_ARRAY_CHANNELS];
    if (__atomic_load_n(&array->stale, __ATOMIC_ACQUIRE) != 0 || array->samples >= array->renew_at) array->renew();
    array->samples++;
    for (size_t column = 0; column < array->columns; column++) {
        array->codes[column] = (double)lines->dac_level[array->dac_of_column[column]] - (double)array->rest_code;
        squares[column] = array->codes[column] * array->codes[column];
    }
    if (array->bend != NULL) array->bend();
    for (size_t adc = 0; adc < lines->n_adc; adc++) {
        const int16_t row = array->row_of_tia[lines->tia[adc]];
        input[adc] = row < 0 ? 0.0 : row_input(array, (size_t)row, squares);
    }
}
