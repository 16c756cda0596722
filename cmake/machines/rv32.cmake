# A bare RV32IMC: picolibc, the board virt of qemu; stdio and files by semihosting.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR riscv32)
set(CMAKE_C_COMPILER riscv64-unknown-elf-gcc)
set(CMAKE_C_FLAGS_INIT "-march=rv32imc -mabi=ilp32 --specs=picolibc.specs")
set(CMAKE_EXE_LINKER_FLAGS_INIT "--oslib=semihost --crt0=hosted -Wl,--defsym=__flash=0x80000000,--defsym=__flash_size=4M,\
--defsym=__ram=0x80400000,--defsym=__ram_size=4M,--defsym=__stack_size=64K")
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-system-riscv32 -M virt -bios none -display none -monitor none -serial none
	-semihosting-config enable=on,target=native -kernel)
