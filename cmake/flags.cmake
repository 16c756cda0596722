# How everything is compiled: warnings always, hardening in release, one optional set of sanitizers (HF_SANITIZE).
set(HF_SANITIZE "" CACHE STRING "sanitizers of this build, as -fsanitize= takes them; empty: none")
option(HF_FUZZ "build libFuzzer programs instead of programs that replay the corpus" OFF)
option(HF_COVERAGE "count executed lines (clang), in a file that the process maps" OFF)
option(HF_PORTABLE_ONLY "build portable modules, port/fake and their tests alone: for machines without our libraries" OFF)

set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/archive")
set(CMAKE_STATIC_LIBRARY_PREFIX "")
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_FLAGS_DEBUG "-O1 -g")
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1 -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2")
set(CMAKE_C_FLAGS_MINSIZEREL "-Os -g1 -ffunction-sections -fdata-sections")

# What every translation unit of ours gets. System headers are not ours.
add_library(hf_common INTERFACE)
target_compile_options(hf_common INTERFACE
	-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wcast-qual
	-Wformat=2 -Wundef -Wnull-dereference -Wswitch-enum -Werror
	"-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=" -include "${CMAKE_SOURCE_DIR}/cmake/banned.h")
target_include_directories(hf_common INTERFACE "${CMAKE_SOURCE_DIR}/lib" "${CMAKE_SOURCE_DIR}/server" "${CMAKE_SOURCE_DIR}")
# An empty value, so that a file may say "#define _GNU_SOURCE" as well.
target_compile_definitions(hf_common INTERFACE
	$<IF:$<BOOL:$<TARGET_PROPERTY:HF_PORTABLE>>,HF_PORTABLE,_GNU_SOURCE=>)

# Sanitizers and coverage are kept apart: the broker plugin goes without, because mosquitto has no runtime for them.
add_library(hf_checked INTERFACE)
if(HF_SANITIZE)
	set(flags -fsanitize=${HF_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
	target_compile_options(hf_checked INTERFACE ${flags})
	target_link_options(hf_checked INTERFACE ${flags})
endif()
if(HF_FUZZ)
	target_compile_options(hf_checked INTERFACE -fsanitize=fuzzer-no-link)
endif()
# The counters are in the file at once: nothing is lost with a process that is killed, or that may not open files any more.
if(HF_COVERAGE)
	target_compile_options(hf_checked INTERFACE
		-fprofile-instr-generate -fcoverage-mapping "SHELL:-mllvm -runtime-counter-relocation")
	target_link_options(hf_checked INTERFACE -fprofile-instr-generate)
endif()

if(NOT HF_PORTABLE_ONLY)
	include(CheckPIESupported)
	check_pie_supported(LANGUAGES C)
	set(CMAKE_POSITION_INDEPENDENT_CODE ON)
	add_link_options(-Wl,-z,relro,-z,now -Wl,--as-needed)
endif()

add_compile_definitions($<$<NOT:$<BOOL:$<TARGET_PROPERTY:HF_PORTABLE>>>:HOLDFAST_VERSION="${PROJECT_VERSION}">)
