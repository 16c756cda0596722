# A bare Cortex-M4 without floating point: picolibc, the board mps2-an386 of qemu; stdio and files by semihosting.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR cortex-m4)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
# Each object comes with its call graph and the size of its stack frames (.ci), which `./bench footprint` reads.
set(CMAKE_C_FLAGS_INIT "-mcpu=cortex-m4 -mthumb --specs=picolibc.specs -fcallgraph-info=su")
set(CMAKE_EXE_LINKER_FLAGS_INIT "--oslib=semihost --crt0=hosted -Wl,--defsym=__flash=0,--defsym=__flash_size=4M,\
--defsym=__ram=0x20000000,--defsym=__ram_size=4M,--defsym=__stack_size=64K")
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-system-arm -M mps2-an386 -display none -monitor none -serial none
	-semihosting-config enable=on,target=native -kernel)
