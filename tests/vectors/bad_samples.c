/* bad_samples.c - frames that must be refused, written by hand, each for one reason. */
#include "tests/vectors/samples.h"

#include "base/cleanup.h"
#include "proto/frame.h"

/* clang-format off */
#define BYTES(literal) (const uint8_t *)(literal), sizeof(literal) - 1
#define CANCEL "\xa4type\xa6" "cancel"
#define ASK(method) "\x84\xa4type\xa7request\xa2id\x01\xa6method" method "\xa4" "args"
#define SHOW ASK("\xa7vm.show")
#define EXEC ASK("\xa7vm.exec")
#define DEEP8 "\x91\x91\x91\x91\x91\x91\x91\x91"

const struct bad_sample bad_samples[] = {
	{ "bad/length-zero",        "frame.bad",     "a frame holds one map, so it is never empty", BYTES(""), 0 },
	{ "bad/length-short",       "frame.bad",     "the length ends within the map", BYTES("\x82" CANCEL "\xa2id\x01"), 10 },
	{ "bad/length-over-limit",  "frame.too_big", "the length is over 1 MiB", BYTES("\x82" CANCEL "\xa2id\x01"), FRAME_MAX + 1 },
	{ "bad/length-sync",        "frame.too_big", "the length of the guest's sync marker", BYTES("bangersync\r\n"), 0xffffffff },
	{ "bad/count",              "frame.bad",     "a map announces more pairs than there are bytes", BYTES("\xdf\x04\0\0\0"), -1 },
	{ "bad/count-array",        "frame.bad",     "an array announces 3722304989 elements", BYTES("\xdd\xdd\xdd\xdd\xdd"), -1 },
	{ "bad/count-inside",       "frame.bad",     "an array inside announces too many elements", BYTES(SHOW "\x81\xa3ref\xdd\x04\0\0\0"), -1 },
	{ "bad/depth",              "frame.bad",     "seventeen containers inside each other", BYTES("\x82" CANCEL "\xa2id" DEEP8 DEEP8 "\x01"), -1 },
	{ "bad/ext",                "frame.bad",     "ext types are not spoken", BYTES("\x82" CANCEL "\xa2id\xd4\x01\x01"), -1 },
	{ "bad/unused-byte",        "frame.bad",     "0xc1 is never used", BYTES("\x82" CANCEL "\xa2id\xc1"), -1 },
	{ "bad/trailing-bytes",     "frame.bad",     "bytes after the map", BYTES("\x82" CANCEL "\xa2id\x01\xc0"), -1 },
	{ "bad/not-a-map",          "frame.bad",     "an array", BYTES("\x92\xa4type\xa6" "cancel"), -1 },
	{ "bad/string-cut",         "frame.bad",     "a string ends after the frame", BYTES("\x82" CANCEL "\xa2id\xa5" "abc"), -1 },
	{ "bad/type-unknown",       "frame.bad",     "no such envelope", BYTES("\x81\xa4type\xa5shout"), -1 },
	{ "bad/type-missing",       "frame.bad",     "an envelope without a type", BYTES("\x81\xa2id\x01"), -1 },
	{ "bad/envelope-unknown-field", "frame.bad", "an envelope that is not open has one field more", BYTES("\x83" CANCEL "\xa2id\x01\xa3why\xc0"), -1 },
	{ "bad/envelope-missing-field", "frame.bad", "a cancel without id", BYTES("\x81" CANCEL), -1 },
	{ "bad/envelope-wrong-type", "frame.bad",    "an id that is a string", BYTES("\x82" CANCEL "\xa2id\xa1" "1"), -1 },
	{ "bad/envelope-id-zero",   "frame.bad",     "a request's id is never 0", BYTES("\x82" CANCEL "\xa2id\0"), -1 },
	{ "bad/reply-both",         "frame.bad",     "result and error", BYTES("\x84\xa4type\xa5reply\xa2id\x01\xa6result\x80\xa5" "error\x81\xa4" "code\xa1x"), -1 },
	{ "bad/reply-neither",      "frame.bad",     "neither result nor error", BYTES("\x82\xa4type\xa5reply\xa2id\x01"), -1 },
	{ "bad/version",            "version.unsupported", "lowest version spoken is 2", BYTES("\x84\xa4type\xa5hello\xa7version\x02\xabversion_min\x02\xa4name\xa1x"), -1 },
	{ "bad/method",             "request.unknown", "no such method", BYTES(ASK("\xa6vm.fly") "\x80"), -1 },
	{ "bad/unknown-field",      "request.bad",   "vm.show has no field colour", BYTES(SHOW "\x82\xa3ref\xa1x\xa6" "colour\xc0"), -1 },
	{ "bad/missing-field",      "request.bad",   "vm.show needs ref", BYTES(SHOW "\x80"), -1 },
	{ "bad/duplicate-field",    "request.bad",   "ref is given twice", BYTES(SHOW "\x82\xa3ref\xa1x\xa3ref\xa1x"), -1 },
	{ "bad/wrong-type",         "request.bad",   "ref is a number", BYTES(SHOW "\x81\xa3ref\x05"), -1 },
	{ "bad/nil",                "request.bad",   "an absent field is left out, not nil", BYTES(SHOW "\x81\xa3ref\xc0"), -1 },
	{ "bad/string-empty",       "request.bad",   "ref has one byte at least", BYTES(SHOW "\x81\xa3ref\xa0"), -1 },
	{ "bad/string-nul",         "request.bad",   "ref holds a NUL", BYTES(SHOW "\x81\xa3ref\xa3" "a\0b"), -1 },
	{ "bad/string-utf8",        "request.bad",   "ref is not UTF-8", BYTES(SHOW "\x81\xa3ref\xa2" "a\xff"), -1 },
	{ "bad/string-surrogate",   "request.bad",   "ref holds a surrogate", BYTES(SHOW "\x81\xa3ref\xa3\xed\xa0\x80"), -1 },
	{ "bad/number-bounds",      "request.bad",   "rows is at most 65535", BYTES(EXEC "\x82\xa3ref\xa1x\xa4rows\xce\0\x01\0\0"), -1 },
	{ "bad/number-negative",    "request.bad",   "rows is at least 1", BYTES(EXEC "\x82\xa3ref\xa1x\xa4rows\xff"), -1 },
	{ "bad/number-float",       "request.bad",   "a float is no whole number", BYTES(EXEC "\x82\xa3ref\xa1x\xa4rows\xca\x41\xc0\0\0"), -1 },
	{ "bad/pairs-equals",       "request.bad",   "a variable's name holds =", BYTES(EXEC "\x82\xa3ref\xa1x\xa3" "env\x81\xa3" "a=b\xa1" "c"), -1 },
	{ "bad/op-id-short",        "request.bad",   "an op_id has 16 bytes", BYTES(ASK("\xa7op.show") "\x81\xa5op_id\xc4\x02\x01\x02"), -1 },
};
const size_t nbad_samples = ARRAY_LEN(bad_samples);
/* clang-format on */
