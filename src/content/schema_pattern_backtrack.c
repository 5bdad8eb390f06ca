/*-------------------------------------------------------------------------
 *
 * schema_pattern_backtrack.c
 *	  Patterns with back references: trying, and going back.
 *
 * The tree becomes a program for a small machine with the semantics of
 * ECMA-262: a group that has not taken part matches as the empty text, a
 * repetition forgets the groups inside it each time, look behind reads
 * backward.  The machine keeps what it may have to go back to on a stack of
 * its own: places to try next, and old values of registers.
 *
 * With back references the time can be exponential.  So the steps of a match
 * and the size of the stack are bounded, and beyond that there is an error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_pattern_internal.h"
#include "miscadmin.h"

/* Steps of one match: some tenths of a second. */
#define BACKTRACK_STEPS_MAX 20000000
#define BACKTRACK_STEPS_PER_CHAR 20
#define BACKTRACK_STACK_MAX 2000000 /* entries */

typedef enum Operation
{
	OP_CHAR,					/* value */
	OP_SET,						/* set */
	OP_TRY,						/* goes on; if that fails, at target */
	OP_JUMP,					/* target */
	OP_SAVE,					/* reg: the place */
	OP_ZERO,					/* reg */
	OP_REPEAT,					/* reg: count; min, max, lazy; target behind */
	OP_AGAIN,					/* reg: count, reg + 1: place; min; target */
	OP_CLEAR,					/* registers from reg up to value */
	OP_BACK_REFERENCE,			/* value: group */
	OP_START,
	OP_END,
	OP_WORD_BOUNDARY,			/* negated */
	OP_LOOK,					/* negated; what follows up to target */
	OP_DONE
} Operation;

typedef struct Instruction
{
	Operation	operation;
	bool		backward;		/* reads what is before the place */
	bool		negated;
	bool		lazy;
	int			value;
	int			reg;
	int			min;
	int			max;
	int			target;
	CodeSet    *set;
} Instruction;

struct BacktrackPattern
{
	Instruction *code;
	int			count;
	int			allocated;
	int			registers;		/* first those of the groups, two each */
	bool		from_start;		/* can match at the start only */
};

/* --- the program -------------------------------------------------------- */

static int
add_instruction(BacktrackPattern *program, Operation operation)
{
	if (program->count == program->allocated)
	{
		program->allocated *= 2;
		program->code = repalloc(program->code, program->allocated * sizeof(Instruction));
	}
	memset(&program->code[program->count], 0, sizeof(Instruction));
	program->code[program->count].operation = operation;
	return program->count++;
}

static void translate(BacktrackPattern *program, const PatternNode *node, bool backward);

static void
translate_sequence(BacktrackPattern *program, const PatternNode *node, bool backward)
{
	const PatternNode **children;
	int			count = 0;

	if (!backward)
	{
		for (const PatternNode *child = node->child; child != NULL; child = child->next)
			translate(program, child, false);
		return;
	}
	for (const PatternNode *child = node->child; child != NULL; child = child->next)
		count++;
	children = palloc(count * sizeof(PatternNode *));
	count = 0;
	for (const PatternNode *child = node->child; child != NULL; child = child->next)
		children[count++] = child;
	while (count > 0)
		translate(program, children[--count], true);
	pfree(children);
}

static void
translate_alternatives(BacktrackPattern *program, const PatternNode *node, bool backward)
{
	int			last_jump = -1; /* chained by their targets until all is known */

	for (const PatternNode *child = node->child; child != NULL; child = child->next)
	{
		int			try = -1;
		int			jump;

		if (child->next != NULL)
			try = add_instruction(program, OP_TRY);
		translate(program, child, backward);
		if (child->next != NULL)
		{
			jump = add_instruction(program, OP_JUMP);
			program->code[jump].target = last_jump;
			last_jump = jump;
			program->code[try].target = program->count;
		}
	}
	while (last_jump >= 0)
	{
		int			previous = program->code[last_jump].target;

		program->code[last_jump].target = program->count;
		last_jump = previous;
	}
}

static void
translate_repeat(BacktrackPattern *program, const PatternNode *node, bool backward)
{
	int			reg = program->registers;
	int			repeat;
	int			again;
	int			at;

	if (node->max == 0)
		return;
	program->registers += 2;
	at = add_instruction(program, OP_ZERO);
	program->code[at].reg = reg;
	repeat = add_instruction(program, OP_REPEAT);
	program->code[repeat].reg = reg;
	program->code[repeat].min = node->min;
	program->code[repeat].max = node->max == PATTERN_INFINITE ? PG_INT32_MAX : node->max;
	program->code[repeat].lazy = node->lazy;
	if (node->last_group > node->first_group)
	{
		at = add_instruction(program, OP_CLEAR);
		program->code[at].reg = 2 * node->first_group;
		program->code[at].value = 2 * node->last_group;
	}
	translate(program, node->child, backward);
	again = add_instruction(program, OP_AGAIN);
	program->code[again].reg = reg;
	program->code[again].min = node->min;
	program->code[again].target = repeat;
	program->code[repeat].target = program->count;
}

static void
translate(BacktrackPattern *program, const PatternNode *node, bool backward)
{
	int			at;

	check_stack_depth();
	switch (node->type)
	{
		case NODE_EMPTY:
			break;
		case NODE_CHAR:
			at = add_instruction(program, OP_CHAR);
			program->code[at].value = node->code;
			program->code[at].backward = backward;
			break;
		case NODE_SET:
			at = add_instruction(program, OP_SET);
			program->code[at].set = code_set_copy(node->set);
			program->code[at].backward = backward;
			break;
		case NODE_SEQUENCE:
			translate_sequence(program, node, backward);
			break;
		case NODE_ALTERNATIVES:
			translate_alternatives(program, node, backward);
			break;
		case NODE_REPEAT:
			translate_repeat(program, node, backward);
			break;
		case NODE_GROUP:
			at = add_instruction(program, OP_SAVE);
			program->code[at].reg = 2 * (node->group - 1) + (backward ? 1 : 0);
			translate(program, node->child, backward);
			at = add_instruction(program, OP_SAVE);
			program->code[at].reg = 2 * (node->group - 1) + (backward ? 0 : 1);
			break;
		case NODE_BACK_REFERENCE:
			at = add_instruction(program, OP_BACK_REFERENCE);
			program->code[at].value = node->group;
			program->code[at].backward = backward;
			break;
		case NODE_START:
			add_instruction(program, OP_START);
			break;
		case NODE_END:
			add_instruction(program, OP_END);
			break;
		case NODE_WORD_BOUNDARY:
			at = add_instruction(program, OP_WORD_BOUNDARY);
			program->code[at].negated = node->negated;
			break;
		case NODE_LOOK:
			at = add_instruction(program, OP_LOOK);
			program->code[at].negated = node->negated;
			translate(program, node->child, node->behind);
			add_instruction(program, OP_DONE);
			program->code[at].target = program->count;
			break;
	}
}

BacktrackPattern *
postrider_pattern_backtrack(const PatternTree *tree, char **problem)
{
	BacktrackPattern *program = palloc0(sizeof(BacktrackPattern));
	const PatternNode *first = tree->root;

	program->allocated = 32;
	program->code = palloc(program->allocated * sizeof(Instruction));
	program->registers = 2 * tree->group_count;
	translate(program, tree->root, false);
	add_instruction(program, OP_DONE);
	while (first->type == NODE_SEQUENCE || first->type == NODE_GROUP)
		first = first->child;
	program->from_start = first->type == NODE_START;
	if (program->registers > PATTERN_SIZE_MAX)
	{
		*problem = pstrdup("the pattern has too many groups and repetitions");
		return NULL;
	}
	return program;
}

/* --- the machine -------------------------------------------------------- */

#define ENTRY_REGISTER (-1)		/* register place had the value */
#define ENTRY_NOTHING (-2)

typedef struct Entry
{
	int			kind;			/* one of the above, or an instruction to try */
	int			place;
	int			value;
} Entry;

typedef struct Machine
{
	const BacktrackPattern *program;
	const pg_wchar *text;
	int			len;
	int		   *registers;
	Entry	   *stack;
	int			depth;
	int			allocated;
	int64		steps;			/* that are left */
} Machine;

static void
report_limit(Machine *machine)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the pattern takes too long on a value of %d characters", machine->len),
			 errhint("Limit the length of the value, or write the pattern without a back reference.")));
}

static inline void
spend(Machine *machine, int steps)
{
	machine->steps -= steps;
	if (machine->steps <= 0)
		report_limit(machine);
}

static void
push(Machine *machine, int kind, int place, int value)
{
	Entry	   *entry;

	if (machine->depth == machine->allocated)
	{
		if (machine->allocated >= BACKTRACK_STACK_MAX)
			report_limit(machine);
		CHECK_FOR_INTERRUPTS();
		machine->allocated *= 2;
		machine->stack = repalloc(machine->stack, machine->allocated * sizeof(Entry));
	}
	entry = &machine->stack[machine->depth++];
	entry->kind = kind;
	entry->place = place;
	entry->value = value;
}

static void
set_register(Machine *machine, int reg, int value)
{
	if (machine->registers[reg] == value)
		return;
	push(machine, ENTRY_REGISTER, reg, machine->registers[reg]);
	machine->registers[reg] = value;
}

/*
 * Goes back to the last place to try above base.  False if there is none; the
 * registers are then as they were.
 */
static bool
go_back(Machine *machine, int base, int *pc, int *at)
{
	while (machine->depth > base)
	{
		Entry	   *entry = &machine->stack[--machine->depth];

		if (entry->kind == ENTRY_REGISTER)
			machine->registers[entry->place] = entry->value;
		else if (entry->kind != ENTRY_NOTHING)
		{
			*pc = entry->kind;
			*at = entry->place;
			return true;
		}
	}
	return false;
}

static inline bool
is_word(const Machine *machine, int at)
{
	pg_wchar	c;

	if (at < 0 || at >= machine->len)
		return false;
	c = machine->text[at];
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '_' ||
		(c >= 'a' && c <= 'z');
}

/* Reads again what the group has; false if it is not there. */
static bool
match_back_reference(Machine *machine, const Instruction *step, int *at)
{
	int			from = machine->registers[2 * (step->value - 1)];
	int			to = machine->registers[2 * (step->value - 1) + 1];
	int			len = to - from;
	int			place;

	/* A group that took no part, or is still open, is the empty text. */
	if (from < 0 || to < 0)
		return true;
	place = step->backward ? *at - len : *at;
	if (place < 0 || machine->len - place < len)
		return false;
	spend(machine, len / 16);
	if (memcmp(machine->text + from, machine->text + place, len * sizeof(pg_wchar)) != 0)
		return false;
	*at = step->backward ? place : place + len;
	return true;
}

/* The beginning of another repetition, or what comes after the last. */
static int
begin_repetition(Machine *machine, const Instruction *step, int pc, int at)
{
	int			count = machine->registers[step->reg];

	if (count >= step->max)
		return step->target;
	if (count >= step->min)
	{
		if (step->lazy)
		{
			push(machine, pc + 1, at, 0);
			return step->target;
		}
		push(machine, step->target, at, 0);
	}
	return pc + 1;
}

static bool run(Machine *machine, int pc, int at);

/* A look around; leaves no place to try behind. */
static bool
look(Machine *machine, const Instruction *step, int pc, int at)
{
	int			base = machine->depth;
	bool		found;

	check_stack_depth();
	found = run(machine, pc + 1, at);
	if (found && step->negated)
	{
		/* What the groups took inside is forgotten. */
		while (machine->depth > base)
		{
			Entry	   *entry = &machine->stack[--machine->depth];

			if (entry->kind == ENTRY_REGISTER)
				machine->registers[entry->place] = entry->value;
		}
	}
	else if (found)
	{
		for (int i = base; i < machine->depth; i++)
		{
			if (machine->stack[i].kind >= 0)
				machine->stack[i].kind = ENTRY_NOTHING;
		}
		spend(machine, (machine->depth - base) / 16);
	}
	return found != step->negated;
}

/* One character, before or after the place. */
static inline bool
match_character(const Machine *machine, const Instruction *step, int *at)
{
	int			place = step->backward ? *at - 1 : *at;

	if (place < 0 || place >= machine->len)
		return false;
	if (step->operation == OP_CHAR ? machine->text[place] != (pg_wchar) step->value
		: !code_set_has(step->set, machine->text[place]))
		return false;
	*at += step->backward ? -1 : 1;
	return true;
}

/* Runs from an instruction to OP_DONE; false if there is no way there. */
static bool
run(Machine *machine, int pc, int at)
{
	int			base = machine->depth;

	for (;;)
	{
		const Instruction *step = &machine->program->code[pc];
		bool		good = true;

		spend(machine, 1);
		if ((machine->steps & 0xfff) == 0)
			CHECK_FOR_INTERRUPTS();
		pc++;
		switch (step->operation)
		{
			case OP_CHAR:
			case OP_SET:
				good = match_character(machine, step, &at);
				break;
			case OP_TRY:
				push(machine, step->target, at, 0);
				break;
			case OP_JUMP:
				pc = step->target;
				break;
			case OP_SAVE:
				set_register(machine, step->reg, at);
				break;
			case OP_ZERO:
				set_register(machine, step->reg, 0);
				set_register(machine, step->reg + 1, at);
				break;
			case OP_REPEAT:
				pc = begin_repetition(machine, step, pc - 1, at);
				break;
			case OP_AGAIN:
				/* A repetition that nobody asked for must read something. */
				if (machine->registers[step->reg] >= step->min &&
					machine->registers[step->reg + 1] == at)
					good = false;
				else
				{
					set_register(machine, step->reg, machine->registers[step->reg] + 1);
					set_register(machine, step->reg + 1, at);
					pc = step->target;
				}
				break;
			case OP_CLEAR:
				for (int reg = step->reg; reg < step->value; reg++)
					set_register(machine, reg, -1);
				spend(machine, (step->value - step->reg) / 16);
				break;
			case OP_BACK_REFERENCE:
				good = match_back_reference(machine, step, &at);
				break;
			case OP_START:
				good = at == 0;
				break;
			case OP_END:
				good = at == machine->len;
				break;
			case OP_WORD_BOUNDARY:
				good = (is_word(machine, at - 1) != is_word(machine, at)) != step->negated;
				break;
			case OP_LOOK:
				good = look(machine, step, pc - 1, at);
				pc = step->target;
				break;
			case OP_DONE:
				return true;
		}
		if (!good && !go_back(machine, base, &pc, &at))
			return false;
	}
}

bool
postrider_pattern_backtrack_matches(const BacktrackPattern *program,
									const pg_wchar *value, int len)
{
	Machine		machine;
	bool		found = false;

	machine.program = program;
	machine.text = value;
	machine.len = len;
	machine.registers = palloc(Max(program->registers, 1) * sizeof(int));
	machine.depth = 0;
	machine.allocated = 64;
	machine.stack = palloc(machine.allocated * sizeof(Entry));
	machine.steps = BACKTRACK_STEPS_MAX + (int64) BACKTRACK_STEPS_PER_CHAR * len;
	for (int start = 0; start <= len && !found; start++)
	{
		if (start > 0 && program->from_start)
			break;
		memset(machine.registers, -1, program->registers * sizeof(int));
		spend(&machine, program->registers / 16);
		machine.depth = 0;
		found = run(&machine, 0, start);
	}
	pfree(machine.registers);
	pfree(machine.stack);
	return found;
}
