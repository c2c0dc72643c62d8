#include "settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

/* Which option says the same. */
static const struct {
	enum conf_key key;
	enum option option;
} defaults[] = {
	{ CONF_VCPU, OPT_VCPU },   { CONF_MEMORY, OPT_MEMORY }, { CONF_DISK, OPT_DISK },
	{ CONF_IMAGE, OPT_IMAGE }, { CONF_KERNEL, OPT_KERNEL }, { CONF_VMM, OPT_VMM },
};

static bool given(const struct options *o, enum option option)
{
	const void *member = (const char *)o + option_rows[option].offset;

	switch (option_rows[option].kind) {
	case OPTION_U32:
		return *(const uint32_t *)member != 0;
	case OPTION_SIZE:
		return *(const uint64_t *)member != 0;
	case OPTION_TEXT:
		return *(const char *const *)member != NULL;
	case OPTION_FLAG:
	case OPTION_DURATION:
	case OPTION_SIGNAL:
	case OPTION_OP_ID:
	case OPTION_PAIRS:
	case OPTION_WORDS:
	case OPTION_PUBLISH:
		break;
	}
	return true; /* none of the options above */
}

static void take(struct options *o, enum conf_key key, enum option option)
{
	void *member = (char *)o + option_rows[option].offset;
	const void *value = (const char *)o->conf + conf_rows[key].offset;

	if (conf_rows[key].kind == CONF_KIND_U32)
		*(uint32_t *)member = *(const uint32_t *)value;
	else if (conf_rows[key].kind == CONF_KIND_SIZE)
		*(uint64_t *)member = *(const uint64_t *)value;
	else if (*(const char *)value)
		*(const char **)member = value; /* lent: o->conf lives as long as the options */
}

/* A new VM is asked for: what the environment says of it is part of the request. */
static int take_defaults(struct options *o, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(defaults); i++) {
		const struct conf_row *row = &conf_rows[defaults[i].key];
		const char *text = getenv(row->env);

		if (!text || !text[0] || given(o, defaults[i].option))
			continue;
		const int rc = conf_set(o->conf, defaults[i].key, text, e);
		if (rc < 0) {
			err_ctx(e, "%s", row->env);
			return rc;
		}
		take(o, defaults[i].key, defaults[i].option);
	}
	return 0;
}

int settings_read(const struct options *o, struct conf *conf, struct conf_problems *problems,
		  struct err *e)
{
	const struct conf_input in = { .file = o->config_path,
				       .libexec = BANGER_LIBEXECDIR,
				       .environment = true };

	return conf_load(conf, &in, problems, e);
}

int settings_load(struct options *o, struct err *e)
{
	struct conf_problems *problems = malloc(sizeof(*problems));

	o->conf = malloc(sizeof(*o->conf));
	if (!o->conf || !problems) {
		free(problems);
		return err_set(e, ERR_HOST_MEMORY, "settings");
	}
	if (o->config)
		o->config_path = realpath(o->config, NULL);
	if (o->config && !o->config_path) {
		free(problems);
		return err_sys(e, ERR_CONFIG_BAD, "--config %s", o->config);
	}
	IGNORE(settings_read(o, o->conf, problems, NULL) < 0);
	free(problems);
	o->no_color = o->no_color || strcmp(o->conf->color, "never") == 0;
	return o->command->options & BIT(OPT_IMAGE) ? take_defaults(o, e) : 0;
}
