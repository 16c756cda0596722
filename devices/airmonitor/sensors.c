/* airmonitor - where samples come from: the kernel's sensors, or a recording. Uses: port/posix. */
#include "devices/airmonitor/airmonitor.h"

#include <math.h>

/* A series: its name at the server and in a recording, the kernel's channel, and what the kernel's unit is divided
 * by. */
struct series {
	const char *name, *channel;
	double divisor;
};
static const struct series series[] = {
	[AIRMONITOR_PM25] = {"PM25", "massconcentration_pm2p5", 1}, /* µg/m³ */
	{"PM10", "massconcentration_pm10", 1}, /* µg/m³ */
	{"TEMP", "temp", 1000}, /* °C from thousandths */
	{"HUM", "humidityrelative", 1000}, /* % from thousandths */
};
_Static_assert(sizeof series / sizeof series[0] == AIRMONITOR_SERIES_MAX, "every series has its place in a sample");

const char *airmonitor_series(unsigned i)
{
	return series[i].name;
}

void airmonitor_sensors_read(struct airmonitor_sensors *s, double out[AIRMONITOR_SERIES_MAX])
{
	for (unsigned i = 0; i < AIRMONITOR_SERIES_MAX; i++) {
		enum hf_err err = s->replay ? hf_posix_csv_get(s->replay, s->row, series[i].name, &out[i])
		                            : hf_posix_iio_read(s->iio, series[i].channel, &out[i]);

		if (err != HF_E_OK)
			out[i] = (double)NAN;
		else if (!s->replay)
			out[i] /= series[i].divisor;
	}
	if (s->replay)
		s->row = (s->row + 1) % hf_posix_csv_rows(s->replay);
}
