/* probe.S - the smallest guest: says on the first serial port that it runs, then halts.
 *
 *   entered by PVH (32-bit, flat, paging off, %ebx -> start info)
 *     prints "banger-probe: up"
 *     "bench" on the command line: a fixed loop, then "banger-probe: bench done"
 *     "exit" on the command line: resets the machine, so that QEMU under -no-reboot ends
 *     cli; hlt
 *
 * The daemon times the gap between the two lines: a KVM that emulates each instruction needs
 * seconds for the loop, hardware and TCG some milliseconds.  Hence no interrupts, no SSE, no
 * paging, and no instruction that an emulator might lack before the first line is out.  The
 * container is ELF64 because Firecracker's loader takes nothing else; QEMU takes it as well.
 *
 * Facts: Xen public/elfnote.h (XEN_ELFNOTE_PHYS32_ENTRY), public/arch-x86/hvm/start_info.h.
 */
#define NOTE_PHYS32_ENTRY 18
#define START_INFO_CMDLINE 24		/* offset of cmdline_paddr, 64 bits */
#define SERIAL_DATA 0x3f8
#define KEYBOARD_COMMAND 0x64
#define KEYBOARD_RESET 0xfe		/* Firecracker's only way to be told "exit" */
#define BENCH_TURNS 375000		/* of 8 instructions: 3 million */

	.section .note.pvh, "a", @note
	.balign 4
	.long	4			/* bytes of the name */
	.long	8			/* bytes of the description: QEMU reads 8 of an ELF64 */
	.long	NOTE_PHYS32_ENTRY
	.asciz	"Xen"
	.quad	start

	.section .rodata
up_line:	.asciz "banger-probe: up\r\n"
bench_line:	.asciz "banger-probe: bench done\r\n"
bench_word:	.asciz "bench"
exit_word:	.asciz "exit"
no_interrupts:				/* an interrupt table of no entries */
	.word	0
	.long	0

	.bss
	.balign 16
scratch:	.skip 64
stack:		.skip 256
stack_top:

	.text
	.code32
	.globl	start
start:
	cli
	cld
	movl	$stack_top, %esp
	movl	START_INFO_CMDLINE(%ebx), %ebp

	movl	$up_line, %esi
	call	print

	movl	$bench_word, %edi
	call	wanted
	jne	1f
	call	bench
	movl	$bench_line, %esi
	call	print
1:
	movl	$exit_word, %edi
	call	wanted
	jne	halt
	movb	$KEYBOARD_RESET, %al
	outb	%al, $KEYBOARD_COMMAND
	lidt	no_interrupts		/* no such port: a triple fault resets as well */
	ud2
halt:
	cli
	hlt
	jmp	halt

/* Writes the string at %esi.  No wait for the transmitter: the VMMs' is always ready. */
print:
	movw	$SERIAL_DATA, %dx
1:
	movb	(%esi), %al
	incl	%esi
	testb	%al, %al
	jz	2f
	outb	%al, %dx
	jmp	1b
2:
	ret

/* Sets ZF when the string at %edi is a word of the command line at %ebp (NULL: none). */
wanted:
	movl	%ebp, %esi
	testl	%esi, %esi
	jz	no
word:
	cmpb	$' ', (%esi)
	jne	1f
	incl	%esi
	jmp	word
1:
	cmpb	$0, (%esi)
	je	no
	movl	%edi, %ecx
compare:
	movb	(%esi), %al
	movb	(%ecx), %dl
	testb	%dl, %dl
	jz	ended
	cmpb	%dl, %al
	jne	skip
	incl	%esi
	incl	%ecx
	jmp	compare
ended:					/* of what we look for: of the word too? */
	testb	%al, %al
	jz	2f
	cmpb	$' ', %al
	je	2f
skip:
	movb	(%esi), %al
	testb	%al, %al
	jz	no
	incl	%esi
	cmpb	$' ', %al
	jne	skip
	jmp	word
no:
	orl	$1, %esi		/* clears ZF */
2:
	ret

/* Arithmetic and memory in equal parts, nothing that a translator could fold away. */
bench:
	movl	$BENCH_TURNS, %ecx
	xorl	%eax, %eax
1:
	addl	%ecx, %eax
	movl	%eax, scratch
	roll	$5, %eax
	xorl	scratch, %eax
	movl	%eax, scratch + 4
	addl	scratch + 4, %eax
	decl	%ecx
	jnz	1b
	ret

	.section .note.GNU-stack, "", @progbits
