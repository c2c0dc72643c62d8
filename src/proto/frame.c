#include "proto/frame.h"

#include <errno.h>

#include "base/assert.h"
#include "proto/cursor.h"

int frame_length(const uint8_t head[FRAME_HEAD], size_t max, struct err *e)
{
	const uint32_t len = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 |
			     (uint32_t)head[2] << 8 | (uint32_t)head[3];

	if (len == 0)
		return err_set(e, ERR_BAD_FRAME, "frame: is empty");
	if (len > max || len > FRAME_MAX)
		return err_set(e, ERR_FRAME_TOO_BIG, "frame: announces %u bytes, at most %zu", len,
			       max < FRAME_MAX ? max : (size_t)FRAME_MAX);
	return (int)len;
}

int frame_check(const uint8_t *payload, size_t len, struct err *e)
{
	struct mp_cursor c = { .at = payload, .end = payload + len };
	uint32_t elements = FRAME_ELEMENTS_MAX;
	struct mp_head top;

	if (mp_read(&c, &top) < 0)
		return err_set(e, ERR_BAD_FRAME, "frame: %s", c.why);
	if (top.type != MP_MAP)
		return err_set(e, ERR_BAD_FRAME, "frame: must be a map, is %s",
			       mp_type_name(top.type));
	c.at = payload;
	if (mp_skip(&c, &elements) < 0)
		return err_set(e, ERR_BAD_FRAME, "frame: %s", c.why);
	if (c.at != c.end)
		return err_set(e, ERR_BAD_FRAME, "frame: %zu bytes too many",
			       (size_t)(c.end - c.at));
	return 0;
}

uint32_t frame_elements(const uint8_t *map, size_t len)
{
	struct mp_cursor c = { .at = map, .end = map + len };
	uint32_t left = UINT32_MAX;

	ASSERT(mp_skip(&c, &left) == 0);
	return UINT32_MAX - left;
}
