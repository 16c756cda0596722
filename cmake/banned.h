/* banned.h - included before every file of ours: functions that may not be used do not compile. Uses: the headers that declare them.
 * Instead: hf_wr cursors, snprintf, memcpy with a checked length, hf_dec_parse, hf_seal_crypto.random, posix_spawn, gmtime_r. */
#ifndef HF_BANNED_H
#define HF_BANNED_H

#include <string.h>
#ifndef HF_PORTABLE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#endif

#pragma GCC poison strcpy strcat sprintf vsprintf strncpy strncat strtok atoi atol atoll atof srand popen
#pragma GCC poison gmtime localtime ctime asctime tmpnam mktemp
/* Headers of libraries call parameters so: only the call is refused. */
#define rand(...) rand_is_banned
#define system(...) system_is_banned
#define gets(...) gets_is_banned

#endif
