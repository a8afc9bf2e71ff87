//! The program by which the kernel decides whether we may make a system call: seccomp's dialect of classic BPF
//! (linux/seccomp.h, linux/filter.h), assembled from a list.
//!
//! What is not on the list is answered with EPERM, and the guard goes on: one that is killed for an unforeseen call
//! guards nobody.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

/// One instruction, `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// So many instructions are left out if it is true.
    pub jt: u8,
    /// So many if it is not.
    pub jf: u8,
    /// The number that it is done with.
    pub k: u32,
}

/// A system call that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its number.
    pub number: u32,
    /// What must hold of its arguments, if anything.
    pub only: Option<Only>,
}

/// What must hold of one argument. Only its lower 32 bits are looked at: all arguments that are asked about are
/// `int` to the kernel, or flags that stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Only {
    /// It is one of these.
    OneOf(u8, Vec<u32>),
    /// It has none of these bits.
    Without(u8, u32),
}

/// What all calls of a machine have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// `AUDIT_ARCH_*` (linux/audit.h): calls of another architecture have other numbers.
    pub arch: u32,
    /// Numbers from here on are refused: x32's on x86-64.
    pub refused_from: Option<u32>,
    /// Numbers from here on did not exist when the list was made. A C library finds out by ENOSYS whether it may
    /// use a new call, and then does without.
    pub unknown_from: u32,
}

/// `BPF_LD | BPF_W | BPF_ABS`: loads a word of `struct seccomp_data`.
const LOAD: u16 = 0x20;
/// `BPF_JMP | BPF_JEQ | BPF_K`
const IF_EQUAL: u16 = 0x15;
/// `BPF_JMP | BPF_JGE | BPF_K`
const IF_AT_LEAST: u16 = 0x35;
/// `BPF_JMP | BPF_JSET | BPF_K`
const IF_ANY_BIT: u16 = 0x45;
/// `BPF_RET | BPF_K`
const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`: number, architecture, instruction pointer (64 bits), six arguments of 64 bits.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// `SECCOMP_RET_ALLOW`
pub const ALLOW: u32 = 0x7fff_0000;
/// `SECCOMP_RET_ERRNO` with EPERM.
pub const REFUSE: u32 = 0x0005_0001;
/// `SECCOMP_RET_ERRNO` with ENOSYS.
pub const UNKNOWN: u32 = 0x0005_0026;

/// The kernel takes so many instructions (`BPF_MAXINSNS`).
pub const INSTRUCTIONS_MAX: usize = 4096;

/// Assembles the program for a little-endian machine. Calls that come first are decided first: list the frequent
/// ones there.
#[must_use]
pub fn program(machine: Machine, calls: &[Call]) -> Vec<Instruction> {
    let mut program = vec![
        load(ARCH),
        jump(IF_EQUAL, machine.arch, 1, 0),
        give(REFUSE),
        load(NUMBER),
    ];
    if let Some(from) = machine.refused_from {
        program.extend([jump(IF_AT_LEAST, from, 0, 1), give(REFUSE)]);
    }
    for call in calls {
        call.assemble(&mut program);
    }
    program.extend([
        jump(IF_AT_LEAST, machine.unknown_from, 0, 1),
        give(UNKNOWN),
        give(REFUSE),
    ]);
    program
}

impl Call {
    /// What follows the number is left out if it is another one; else it decides, and nothing behind it is reached.
    fn assemble(&self, program: &mut Vec<Instruction>) {
        let mut decision = Vec::new();
        match &self.only {
            None => {}
            Some(Only::Without(argument, bits)) => {
                decision.extend([
                    load(argument_at(*argument)),
                    jump(IF_ANY_BIT, *bits, 0, 1),
                    give(REFUSE),
                ]);
            }
            Some(Only::OneOf(argument, values)) => {
                decision.push(load(argument_at(*argument)));
                for value in values {
                    decision.extend([jump(IF_EQUAL, *value, 0, 1), give(ALLOW)]);
                }
                decision.push(give(REFUSE));
            }
        }
        if !matches!(self.only, Some(Only::OneOf(..))) {
            decision.push(give(ALLOW));
        }
        // A list of values that is too long for a jump: the call is refused, and a test sees it.
        let length = u8::try_from(decision.len()).unwrap_or_else(|_| {
            decision = vec![give(REFUSE)];
            1
        });
        program.push(jump(IF_EQUAL, self.number, 0, length));
        program.extend(decision);
    }
}

fn argument_at(argument: u8) -> u32 {
    ARGUMENTS + 8 * u32::from(argument)
}

fn load(k: u32) -> Instruction {
    Instruction {
        code: LOAD,
        jt: 0,
        jf: 0,
        k,
    }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

fn give(k: u32) -> Instruction {
    Instruction {
        code: RETURN,
        jt: 0,
        jf: 0,
        k,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine {
        arch: 0xc000_003e,
        refused_from: Some(0x4000_0000),
        unknown_from: 500,
    };

    /// What a program says, run as the kernel runs it.
    fn run(program: &[Instruction], arch: u32, number: u32, arguments: &[u64]) -> u32 {
        let mut data = [0; 64];
        data[0..4].copy_from_slice(&number.to_le_bytes());
        data[4..8].copy_from_slice(&arch.to_le_bytes());
        for (at, argument) in (16..).step_by(8).zip(arguments) {
            data[at..at + 8].copy_from_slice(&argument.to_le_bytes());
        }
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let Instruction { code, jt, jf, k } = program[at];
            let holds = match code {
                LOAD => {
                    let from = k as usize;
                    accumulator = u32::from_le_bytes(data[from..from + 4].try_into().unwrap());
                    at += 1;
                    continue;
                }
                RETURN => return k,
                IF_EQUAL => accumulator == k,
                IF_AT_LEAST => accumulator >= k,
                IF_ANY_BIT => accumulator & k != 0,
                _ => panic!("no such instruction: {code:#x}"),
            };
            at += 1 + usize::from(if holds { jt } else { jf });
        }
    }

    fn check(number: u32, arguments: &[u64], want: u32) {
        let plain = |number| Call { number, only: None };
        let calls = [
            plain(7),
            Call {
                number: 41,
                only: Some(Only::OneOf(0, vec![1, 2, 16])),
            },
            Call {
                number: 9,
                only: Some(Only::Without(2, 4)),
            },
            plain(600),
            Call {
                number: 234,
                only: Some(Only::OneOf(1, vec![])),
            },
            Call {
                number: 235,
                only: Some(Only::OneOf(1, (0..200).collect())),
            },
            plain(0),
        ];
        let program = program(MACHINE, &calls);
        let got = run(&program, MACHINE.arch, number, arguments);
        assert_eq!(got, want, "{number} {arguments:?}");
        assert_eq!(
            run(&program, 0x4000_0003, number, arguments),
            REFUSE,
            "another architecture"
        );
        assert_eq!(
            run(&program, MACHINE.arch, number | 0x4000_0000, arguments),
            REFUSE,
            "x32"
        );
        assert!(program.len() < INSTRUCTIONS_MAX);
    }

    #[test]
    fn what_is_on_the_list_is_allowed_and_nothing_else() {
        check(0, &[], ALLOW);
        check(7, &[u64::MAX; 6], ALLOW);
        check(600, &[], ALLOW);
        check(1, &[], REFUSE);
        check(499, &[], REFUSE);
        check(500, &[], UNKNOWN);
        check(599, &[], UNKNOWN);
    }

    #[test]
    fn arguments_decide_where_they_are_asked_about() {
        check(41, &[16], ALLOW);
        check(41, &[2], ALLOW);
        check(41, &[17], REFUSE);
        check(41, &[0, 16], REFUSE);
        // The kernel takes an int out of the register.
        check(41, &[0xffff_ffff_0000_0002], ALLOW);
        check(9, &[0, 0, 3], ALLOW);
        check(9, &[4, 4, 0], ALLOW);
        check(9, &[0, 0, 7], REFUSE);
        check(234, &[0, 0], REFUSE);
        check(235, &[0, 1], REFUSE);
    }

    #[test]
    fn every_way_through_a_program_ends() {
        let all: Vec<Call> = (0..1000)
            .map(|number| Call {
                number,
                only: Some(Only::OneOf(5, (0..100).collect())),
            })
            .collect();
        let program = program(MACHINE, &all[..4]);
        for (at, instruction) in program.iter().enumerate() {
            let farthest = at + 1 + usize::from(instruction.jt.max(instruction.jf));
            assert!(instruction.code == RETURN || farthest < program.len(), "{at}");
        }
    }
}
