/* port/posix - recordings: a CSV file of numbers, kept in memory. */
#include "port/posix/posix_internal.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_LEN = 1024, COLUMNS_MAX = 16, NAME_LEN = 32, ROWS_MAX = 100000 };

struct hf_posix_csv {
	size_t columns, rows, cap;
	char name[COLUMNS_MAX][NAME_LEN];
	double *cell;
};

/* Takes the next cell off a line, without blanks around it; NULL at the end. */
static char *next_cell(char **at)
{
	char *cell = *at, *end;

	if (!cell)
		return NULL;
	end = cell + strcspn(cell, ",\r\n");
	*at = *end == ',' ? end + 1 : NULL;
	*end = '\0';
	cell += strspn(cell, " \t");
	for (end = cell + strlen(cell); end > cell && (end[-1] == ' ' || end[-1] == '\t'); end--)
		end[-1] = '\0';
	return cell;
}

static enum hf_err take_names(struct hf_posix_csv *csv, char *line)
{
	char *cell;

	while ((cell = next_cell(&line)) != NULL) {
		size_t len = strlen(cell);

		if (len == 0 || len >= NAME_LEN || csv->columns == COLUMNS_MAX)
			return HF_E_TEXT;
		memcpy(csv->name[csv->columns++], cell, len + 1);
	}
	return HF_E_OK;
}

static bool grow(struct hf_posix_csv *csv)
{
	size_t cap = csv->cap == 0 ? 256 : csv->cap * 2;
	double *cell = csv->rows < csv->cap ? csv->cell : realloc(csv->cell, cap * csv->columns * sizeof *cell);

	if (!cell)
		return false;
	csv->cap = csv->rows < csv->cap ? csv->cap : cap;
	csv->cell = cell;
	return true;
}

static bool take_cell(const char *cell, double *out)
{
	char *end = NULL;

	*out = (double)NAN;
	if (cell[0] == '\0')
		return true;
	*out = strtod(cell, &end);
	return *end == '\0' && isfinite(*out);
}

static enum hf_err take_row(struct hf_posix_csv *csv, char *line)
{
	if (csv->rows == ROWS_MAX)
		return HF_E_TOO_BIG;
	if (!grow(csv))
		return HF_E_MEMORY;
	double *row = csv->cell + csv->rows * csv->columns;

	for (size_t i = 0; i < csv->columns; i++) {
		char *cell = next_cell(&line);

		if (!cell || !take_cell(cell, &row[i]))
			return HF_E_TEXT;
	}
	csv->rows++;
	return line ? HF_E_TEXT : HF_E_OK;
}

static enum hf_err take_lines(struct hf_posix_csv *csv, FILE *file, size_t *number)
{
	char line[LINE_LEN];
	enum hf_err err = HF_E_OK;

	while (err == HF_E_OK && fgets(line, sizeof line, file)) {
		++*number;
		if (line[0] == '#' || line[strspn(line, " \t\r\n")] == '\0')
			continue;
		err = strlen(line) == sizeof line - 1 ? HF_E_TOO_BIG
		      : csv->columns == 0             ? take_names(csv, line)
		                                      : take_row(csv, line);
	}
	if (err == HF_E_OK && ferror(file))
		err = HF_E_IO;
	return err == HF_E_OK && csv->rows == 0 ? HF_E_TEXT : err;
}

enum hf_err hf_posix_csv_open(const char *path, struct hf_posix_why *why, struct hf_posix_csv **out)
{
	struct hf_posix_csv *csv = calloc(1, sizeof *csv);
	FILE *file = fopen(path, "re");
	size_t number = 0;
	enum hf_err err = csv ? HF_E_IO : HF_E_MEMORY;

	if (!file)
		hf_posix_say(why, "cannot read %s: %s", path, strerror(errno));
	else if (csv)
		err = take_lines(csv, file, &number);
	if (file) {
		(void)fclose(file);
		if (err != HF_E_OK)
			hf_posix_say(why, "%s, line %zu: %s", path, number, hf_err_text(err));
	}
	if (err != HF_E_OK) {
		hf_posix_csv_close(csv);
		return err;
	}
	*out = csv;
	return HF_E_OK;
}

void hf_posix_csv_close(struct hf_posix_csv *csv)
{
	if (!csv)
		return;
	free(csv->cell);
	free(csv);
}

size_t hf_posix_csv_rows(const struct hf_posix_csv *csv)
{
	return csv->rows;
}

enum hf_err hf_posix_csv_get(const struct hf_posix_csv *csv, size_t row, const char *column, double *out)
{
	for (size_t i = 0; i < csv->columns && row < csv->rows; i++)
		if (strcmp(csv->name[i], column) == 0) {
			*out = csv->cell[row * csv->columns + i];
			return HF_E_OK;
		}
	return HF_E_NOT_FOUND;
}
