#include "helper/block/block.h"

int block_open(const struct helper_conf *conf, void **ret_env, struct err *e)
{
	static struct block_env env; /* one per process */

	dm_open(&env.dm);
	loops_open(&env.loops, conf);
	*ret_env = &env;
	return tools_open(&env.tools, conf, e);
}
