/* Sets the clock to 2041-05-06 07:08:09 UTC, which Debian's own programs for 32-bit ARM cannot. */
#include <time.h>

int main(void)
{
	struct timespec time = { .tv_sec = 2251436889 };
	return clock_settime(CLOCK_REALTIME, &time) != 0;
}
