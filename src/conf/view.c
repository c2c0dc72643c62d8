/* view.c - settings and what was wrong in them, as the protocol says it. */
#include <stdio.h>

#include "conf/conf.h"

void conf_view_key(const struct conf *now, const struct conf *next, enum conf_key key,
		   struct config_key *ret_row)
{
	conf_key_name(key, ret_row->key);
	conf_text(now, key, ret_row->value);
	(void)snprintf(ret_row->source, sizeof(ret_row->source), "%s",
		       conf_source_name(now->origins[key].source));
	conf_where(now, key, ret_row->where, sizeof(ret_row->where));
	ret_row->live = conf_rows[key].live;
	ret_row->next[0] = '\0';
	if (!conf_equal(now, next, key))
		conf_text(next, key, ret_row->next);
}

void conf_view_problems(const struct conf_problems *p, struct config_problem *ret_rows)
{
	for (uint32_t i = 0; i < p->n; i++) {
		(void)snprintf(ret_rows[i].where, sizeof(ret_rows[i].where), "%s", p->v[i].where);
		(void)snprintf(ret_rows[i].message, sizeof(ret_rows[i].message), "%s",
			       p->v[i].text);
		ret_rows[i].fatal = p->v[i].fatal;
	}
}
