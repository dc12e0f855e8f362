/* A program without any library, for tests of the harness on virt_rv32; it runs in place from flash unit 0.
 *
 * The first byte of the data flash says what it does after it has printed the parameters page:
 *   'W'  writes numbered units from sector 1 on and prints each number after it is written
 *   'D'  ends the machine with the test device
 *   'R'  resets itself once
 *   else echoes the line, and says so on the console
 */
#include <stdint.h>

#define CONSOLE ((volatile uint8_t *)CONSOLE_ADDRESS)
#define FLASH ((volatile uint32_t *)FLASH_ADDRESS)
#define PAGE ((volatile uint32_t *)PARAMETERS_ADDRESS)
#define TEST_DEVICE ((volatile uint32_t *)RESET_ADDRESS)
#define BEEN_HERE ((volatile uint32_t *)(RAM_ADDRESS + 0x1000))
#define PCI_PORTS_ADDRESS 0x3000000 /* where QEMU's virt shows the ports of PCI */
#define PCI_PORT 0x1000
#define MARK 0x600dcafe
#define BOTH(command) ((command) | (command) << 16)

void main(void);

__attribute__((naked, section(".start"))) void start(void) {
    __asm__("li sp, %0\n j main" : : "i"(RAM_ADDRESS + 0x8000));
}

static void put(char c) {
    while (!(CONSOLE[5] & 0x20)) {
    }
    CONSOLE[0] = c;
}

static void print(const char *text) {
    while (*text) {
        put(*text++);
    }
}

static void print_number(const char *name, uint32_t value) {
    print(name);
    for (int shift = 28; shift >= 0; shift -= 4) {
        put("0123456789abcdef"[(value >> shift) & 15]);
    }
}

static void program(uint32_t word, uint32_t value) {
    FLASH[word] = BOTH(0x40);
    FLASH[word] = value;
    while (!(FLASH[word] & 0x80)) {
    }
    FLASH[0] = BOTH(0xff);
}

static void write_numbers(void) {
    for (uint32_t n = 0;; n++) {
        program(ERASE_BYTES / 4 + n, n);
        print_number("wrote ", n);
        print("\n");
    }
}

static volatile uint8_t *open_line(void) {
#ifdef LINE_ON_PCI
    volatile uint32_t *card = (volatile uint32_t *)PCI_CONFIG_ADDRESS;
    while (card[2] >> 16 != 0x0700) { /* the first serial card; a card has 32 KiB of this space */
        card += 0x8000 / 4;
    }
    card[4] = PCI_PORT;
    card[1] = 1; /* it answers at its port */
    return (volatile uint8_t *)PCI_PORTS_ADDRESS + PCI_PORT;
#else
    return (volatile uint8_t *)LINE_ADDRESS;
#endif
}

static void echo(void) {
    volatile uint8_t *line = open_line();
    print("line open\n");
    for (;;) {
        if (line[5] & 1) {
            uint8_t c = line[0];
            line[0] = c;
            print_number("line ", c);
            print("\n");
        }
    }
}

void main(void) {
    print_number("magic ", PAGE[0]);
    print_number(" heap ", PAGE[1]);
    print_number(" entropy ", PAGE[2]);
    print("\r\nno UTF-8: \xff\xfe\n");
    switch (FLASH[0] & 0xff) {
    case 'W':
        write_numbers();
    case 'D':
        print("dying, in the middle of a li");
        *TEST_DEVICE = 0x5555;
        break;
    case 'R':
        if (*BEEN_HERE != MARK) {
            *BEEN_HERE = MARK;
            print("resetting\n");
            *TEST_DEVICE = 0x7777;
        }
        print("was reset\n");
        break;
    }
    echo();
}
