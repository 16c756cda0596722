/* airmonitor - when the air is bad: the rule alone, with hysteresis in level and in time. */
#include "devices/airmonitor/airmonitor.h"

#include <math.h>

enum { SAMPLES = 2 };
#define CLEAR_SHARE 0.8

bool airmonitor_alarm_step(struct airmonitor_alarm *a, double pm25, double limit)
{
	if (isnan(pm25))
		return false;
	bool towards_change = a->raised ? pm25 < limit * CLEAR_SHARE : pm25 >= limit;

	a->run = towards_change ? a->run + 1 : 0;
	if (a->run < SAMPLES)
		return false;
	a->raised = !a->raised;
	a->run = 0;
	return true;
}
