/* talker.S - entry of the probe that can be talked to: a stack, then talker.c.
 *
 * Entered by PVH as probe.S is (32-bit, flat, paging off), and stays so.
 */
#define NOTE_PHYS32_ENTRY 18

	.section .note.pvh, "a", @note
	.balign 4
	.long	4			/* bytes of the name */
	.long	8			/* bytes of the description */
	.long	NOTE_PHYS32_ENTRY
	.asciz	"Xen"
	.quad	start

	.bss
	.balign 16
	.skip	16384
stack_top:

	.text
	.code32
	.globl	start
start:
	cli
	cld
	movl	$stack_top, %esp
	call	talker
halt:
	cli
	hlt
	jmp	halt

	.section .note.GNU-stack, "", @progbits
