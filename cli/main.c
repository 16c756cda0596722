/* holdfast - the operator's program. Uses: cli. */
#include "cli/cli.h"

int main(int argc, char **argv)
{
	return (int)cli_run(argc, (const char *const *)argv);
}
