/* power.h - asks whoever is PID 1 to end the machine. */
#pragma once

void power_off(void);
