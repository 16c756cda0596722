/* footprint_main - the image that `./bench footprint` measures. Never run: the linker keeps every function of node.h (see
 * cmake/programs.cmake) and what those need, and each object below is one instance of what a device brings. Uses: node. */
#include "node/node.h"

int main(void);

/* Only their sizes are read. */
struct hf_node footprint_node;
struct hf_node_reading footprint_reading;
uint8_t footprint_work[HF_NODE_WORK_MIN];

int main(void)
{
	return footprint_node.state == footprint_reading.state && footprint_work[0];
}
