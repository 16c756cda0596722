/* type - device type profiles: what a type can do and report, and how it may join. Uses: base os db enrol; jansson. */
#ifndef TYPE_H
#define TYPE_H
#include "base/base.h"
#include "db/db.h"
#include "enrol/enrol.h"

#define TYPE_KINDS(K) \
	K(BYTES, "bytes") \
	K(TEXT, "text")   \
	K(INT8, "int8") K(INT16, "int16") K(INT32, "int32") K(INT64, "int64") K(FLOAT, "float") K(DOUBLE, "double")
#define TYPE_ENUM(NAME, text) TYPE_##NAME,
/* How the value of a data id is coded on the wire. Source: srup-v5 section 2.1.4. */
enum type_kind { TYPE_KINDS(TYPE_ENUM) TYPE_KIND_COUNT_ };

enum { TYPE_NAME_MAX = 64, TYPE_ACTIONS_MAX = 64, TYPE_DATA_MAX = 64, TYPE_DOCUMENT_MAX = 65536 };

struct type_action {
	uint8_t id;
	bool dangerous;
	char name[TYPE_NAME_MAX];
};
struct type_data {
	char id[TYPE_NAME_MAX], unit[16];
	enum type_kind kind;
	bool from_server, has_min, has_max;
	double min, max;
};
struct type_profile {
	char name[TYPE_NAME_MAX];
	bool join_simple, join_moderated; /* may a device of this type ask so? */
	enum enrol_policy enrolment; /* what it asks for at least */
	int64_t certificate_days; /* 0 = the server's default */
	int64_t readings_days; /* how long they are kept; 0 = for ever, -1 = the server's default */
	size_t actions, datas;
	struct type_action action[TYPE_ACTIONS_MAX];
	struct type_data data[TYPE_DATA_MAX];
};

const char *type_kind_name(enum type_kind k);
/* TYPE_KIND_COUNT_ if there is none of that name. */
enum type_kind type_kind_named(const char *name);

/* Reads and checks a document; why gets a sentence that names the member. Errors: INPUT, TOO_BIG. */
enum { TYPE_WHY_MAX = 200 };
HF_NODISCARD enum hf_err type_parse(struct hf_span document, struct type_profile *out, char why[TYPE_WHY_MAX]);
/* The profile of a type. A type without one gets the default: no simple join, moderated join allowed, numbers only.
 * Errors: DATABASE. */
HF_NODISCARD enum hf_err type_get(struct db *db, const char *name, struct type_profile *out);
/* Stores a document that type_parse took, as the next version. Errors: DATABASE. */
HF_NODISCARD enum hf_err type_put(struct db *db, const struct type_profile *p, struct hf_span document, const char *who,
                                  int64_t now_ms);
/* The document of one type. Errors: NOT_FOUND, DATABASE. */
HF_NODISCARD enum hf_err type_document(struct db *db, const char *name,
                                       void (*take)(void *ctx, struct hf_span document), void *ctx);
HF_NODISCARD enum hf_err type_list(struct db *db, bool (*each)(void *ctx, struct hf_span document), void *ctx);
/* Installs the profiles that come with the program where the database has none of that name. */
HF_NODISCARD enum hf_err type_install(struct db *db, int64_t now_ms);

/* NULL when the profile does not know it. */
const struct type_action *type_action_named(const struct type_profile *p, const char *name);
const struct type_action *type_action_of(const struct type_profile *p, unsigned id);
const struct type_data *type_data_of(const struct type_profile *p, struct hf_span id);

#endif
