//! What each message says, in each mode.

use super::*;
use crate::filter::syslog;

/// Who sent what is read.
pub(super) const PEER: &str = "192.0.2.1";

pub(super) fn read(mode: Mode, message: &str) -> Reading {
    let line = format!("Nov 22 11:21:11 edge sshd[990]: {message}");
    assert!(syslog::parse(line.as_bytes()).is_some());
    Sshd { mode }.read(line.as_bytes(), &Context::default())
}

fn show(reading: Reading) -> String {
    match reading {
        Reading::Nothing | Reading::Sign(_) => String::from("-"),
        Reading::Suspicious(suspicion) => format!("{suspicion:?}").to_lowercase(),
        Reading::Failure(failure) => {
            assert_eq!(failure.proof, Proof::Transport);
            let part = failure.attempt.map_or(String::from("alone"), |attempt| {
                format!("{:?}-{:?}", attempt.witness, attempt.step).to_lowercase()
            });
            format!("{} {} {part}", failure.addr, failure.kind)
        }
    }
}

fn check(message: &str, want: &str) {
    assert_eq!(show(read(Mode::Normal, message)), want, "{message}");
    assert_eq!(
        show(read(Mode::Normal, &format!("{message} [preauth]"))),
        want,
        "{message} [preauth]"
    );
}

fn check_mode(message: &str, counting: &[Mode]) {
    for mode in [Mode::Normal, Mode::Ddos, Mode::Extra, Mode::Aggressive] {
        let counts =
            matches!(read(mode, message), Reading::Failure(failure) if failure.addr.to_string() == PEER);
        assert_eq!(counts, counting.contains(&mode), "{mode:?}: {message}");
    }
}

#[test]
fn a_refused_login_names_its_sender() {
    let refused = "192.0.2.1 sshd.auth notice-closing";
    check("Failed password for root from 192.0.2.1 port 5 ssh2", refused);
    check(
        "Failed password for root from ::ffff:192.0.2.1 port 5 ssh2",
        refused,
    );
    check("Failed password for  from 192.0.2.1 port 5 ssh2", refused);
    check("Failed password for root from 192.0.2.1 port 5", refused);
    check(
        "Failed keyboard-interactive/pam for root from 192.0.2.1 port 5 ssh2",
        refused,
    );
    let invalid = "192.0.2.1 sshd.user notice-closing";
    check(
        "Failed password for invalid user x from 192.0.2.1 port 5 ssh2",
        invalid,
    );
    check(
        "Failed password for invalid user  from 192.0.2.1 port 5 ssh2",
        invalid,
    );
    check(
        "Failed none for invalid user x from 192.0.2.1 port 5 ssh2",
        "192.0.2.1 sshd.user notice-opening",
    );
    check("Failed none for x from 192.0.2.1 port 5 ssh2", "-");
    check(
        "Invalid user x from 192.0.2.1 port 5",
        "192.0.2.1 sshd.user security-closing",
    );
    check(
        "Invalid user x from 192.0.2.1",
        "192.0.2.1 sshd.user security-closing",
    );
    let session = "192.0.2.1 sshd.auth security-closing";
    check(
        "error: maximum authentication attempts exceeded for x from 192.0.2.1 port 5 ssh2",
        session,
    );
    check(
        "Disconnecting authenticating user x 192.0.2.1 port 5: Too many authentication failures",
        "-",
    );
    check(
        "Received disconnect from 192.0.2.1: 3: com.jcraft.jsch.JSchException: Auth fail",
        session,
    );
    check(
        "Received disconnect from 192.0.2.1 port 5:3: JSchException: Auth fail",
        session,
    );
    check("Received disconnect from 192.0.2.1 port 5:11: Bye Bye", "-");
    check(
        "ROOT LOGIN REFUSED FROM 192.0.2.1 port 5",
        "192.0.2.1 sshd.acl notice-opening",
    );
    check(
        "ROOT LOGIN REFUSED FROM 192.0.2.1",
        "192.0.2.1 sshd.acl notice-opening",
    );
    check(
        "refused connect from host.example (192.0.2.1)",
        "192.0.2.1 sshd.acl alone",
    );
}

#[test]
fn keys_of_a_known_user_are_no_guesses() {
    check("Failed publickey for root from 192.0.2.1 port 5 ssh2", "-");
    check(
        "Failed publickey for root from 192.0.2.1 port 5 ssh2: RSA SHA256:abc",
        "-",
    );
    let prelude = "192.0.2.1 sshd.user notice-opening";
    check(
        "Failed publickey for invalid user x from 192.0.2.1 port 5 ssh2: RSA SHA256:abc",
        prelude,
    );
    check(
        "Failed publickey for invalid user x from 192.0.2.1 port 5 ssh2: RSA 12:34:ab",
        prelude,
    );
    check(
        "Failed publickey for invalid user x from 192.0.2.1 port 5 ssh2",
        prelude,
    );
}

#[test]
fn a_message_with_two_peers_is_ambiguous_where_no_end_can_be_trusted() {
    for planted in [
        "Failed publickey for invalid user x from 192.0.2.1 port 5 ssh2: RSA-CERT SHA256:a ID y from \
         198.51.100.7 port 6 ssh2: RSA SHA256:b (serial 0) CA RSA SHA256:c",
        // Cut by `do_log` behind the planted part.
        "Failed publickey for invalid user x from 192.0.2.1 port 5 ssh2: RSA-CERT SHA256:a ID y from \
         198.51.100.7 port 6 ssh2",
        "Failed publickey for invalid user x from 198.51.100.7 port 6 ssh2: RSA SHA256:b from \
         192.0.2.1 port 5 ssh2: RSA SHA256:c",
        "Failed hostbased for invalid user x from UNKNOWN port 65535 ssh2: RSA SHA256:a, client user \
         \"y from 198.51.100.7 port 6 ssh2: \", client host \"z\"",
        "Disconnecting invalid user x 198.51.100.7 port 6: Change of username or service not allowed: ( \
         192.0.2.1 port 5: Change of username or service not allowed: (x,ssh-connection) -> (y,z)",
    ] {
        check(planted, "ambiguous");
    }
    let alone = "192.0.2.1 sshd.proto alone";
    let change = "Change of username or service not allowed: (x,ssh-connection) -> (y,ssh-connection)";
    check(
        &format!("Disconnecting invalid user x 192.0.2.1 port 5: {change}"),
        alone,
    );
    check(
        &format!("Disconnecting authenticating user  192.0.2.1 port 5: {change}"),
        alone,
    );
    check(&format!("Disconnecting 192.0.2.1 port 5: {change}"), alone);
    check(&format!("Disconnecting: {change}"), "-");
}

#[test]
fn access_lists_have_a_closed_list_of_reasons() {
    let acl = "192.0.2.1 sshd.acl security-closing";
    for reason in [
        "not listed in AllowUsers",
        "listed in DenyUsers",
        "not in any group",
        "a group is listed in DenyGroups",
        "none of user's groups are listed in AllowGroups",
    ] {
        check(
            &format!("User bob from 192.0.2.1 not allowed because {reason}"),
            acl,
        );
        check(
            &format!("User bob from host.example not allowed because {reason}"),
            "-",
        );
        check(
            &format!("User bob 192.0.2.1 not allowed because {reason}"),
            "torn",
        );
    }
    check("User bob not allowed because account is locked", "-");
    check("User bob not allowed because shell /bin/x does not exist", "-");
    check(
        "User bob from 192.0.2.1 not allowed because none of user's",
        "torn",
    );
    check("User child is on pid 4711", "-");
    let planted = "User x from 198.51.100.7 not allowed because listed in DenyUsers from 192.0.2.1";
    check(&format!("{planted} not allowed because listed in DenyUsers"), acl);
}

#[test]
fn pam_counts_when_sshd_says_so() {
    let head = "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser=";
    check(&format!("{head} rhost=192.0.2.1  user=root"), "-");
    check(
        "PAM 2 more authentication failures; logname= uid=0 rhost=192.0.2.1  user=root",
        "-",
    );
    let pam = "192.0.2.1 sshd.auth notice-opening";
    check("error: PAM: Authentication failure for root from 192.0.2.1", pam);
    let illegal = "192.0.2.1 sshd.user notice-opening";
    check(
        "error: PAM: Authentication failure for illegal user x from 192.0.2.1",
        illegal,
    );
    check(
        "error: PAM: User not known to the underlying authentication module for illegal user x \
         from 192.0.2.1",
        illegal,
    );
    check(
        "error: PAM: Authentication failure for root from host.example",
        "-",
    );
    check("error: PAM: initialization failed", "-");
}

#[test]
fn modes_count_what_fail2ban_counts() {
    let ddos = [Mode::Ddos, Mode::Aggressive];
    for message in [
        "Did not receive identification string from 192.0.2.1",
        "Did not receive identification string from 192.0.2.1 port 5",
        "Bad protocol version identification 'GET / HTTP/1.0' from 192.0.2.1 port 5",
        "Bad protocol version identification '' from 198.51.100.7 port 6' from 192.0.2.1 port 5",
        "Protocol major versions differ for 192.0.2.1 port 5: SSH-2.0-OpenSSH_7.4 vs. SSH-1.5-x",
        "banner exchange: Connection from 192.0.2.1 port 5: invalid format",
        "banner exchange: Connection from 192.0.2.1 port 5: could not read protocol version",
        "ssh_dispatch_run_fatal: Connection from 192.0.2.1 port 5: incomplete message [preauth]",
        "fatal: Timeout before authentication for 192.0.2.1 port 5",
        "Timeout before authentication for connection from 192.0.2.1 to 192.0.2.9, pid = 4711",
        "Connection closed by 192.0.2.1 port 5 [preauth]",
        "Connection closed by 192.0.2.1 port 5",
        "Connection closed by 192.0.2.1 [preauth]",
        "Connection reset by 192.0.2.1 port 5 [preauth]",
        "Connection closed by authenticating user x 198.51.100.7 port 6 192.0.2.1 port 5 [preauth]",
        "drop connection #3 from [192.0.2.1]:5 on [192.0.2.9]:22 penalty: failed authentication",
    ] {
        check_mode(message, &ddos);
    }
    let extra = [Mode::Extra, Mode::Aggressive];
    for message in [
        "Unable to negotiate with 192.0.2.1 port 5: no matching cipher found. Their offer: x [preauth]",
        "fatal: Unable to negotiate with 192.0.2.1: no matching key exchange method found. Their offer: x",
        "Received disconnect from 192.0.2.1 port 5:14: No supported authentication methods available",
        "error: Received disconnect from 192.0.2.1: 14: No authentication methods available [preauth]",
    ] {
        check_mode(message, &extra);
    }
    check_mode(
        "Disconnected from authenticating user x 192.0.2.1 port 5 [preauth]",
        &[Mode::Ddos, Mode::Extra, Mode::Aggressive],
    );
    check_mode("Disconnected from 192.0.2.1 port 5 [preauth]", &ddos);
    for message in [
        "Connection closed by 192.0.2.1",
        "Connection reset by 192.0.2.1 port 5",
        "Disconnected from 192.0.2.1 port 5",
        "Connection closed by user bob 192.0.2.1 port 5",
        "Disconnected from user bob 192.0.2.1 port 5",
        "Connection closed by invalid user x 192.0.2.1 port 5 [preauth]",
        "Bad protocol version identification 'x from 192.0.2.1 port 5",
        "drop connection #10 from [192.0.2.1]:5 on [192.0.2.9]:22 past MaxStartups",
        "drop connection #10 from [192.0.2.1]:5 on [192.0.2.9]:22 Maxstartups",
        "Connection from 192.0.2.1 port 5 on 192.0.2.9 port 22",
        "Unable to negotiate with authenticating user x 192.0.2.1 port 5: no matching cipher found.",
        "reverse mapping checking getaddrinfo for x.example [192.0.2.1] failed - POSSIBLE BREAK-IN ATTEMPT!",
        "Address 192.0.2.1 maps to x.example, but this does not map back to the address.",
        "Nasty PTR record \"192.0.2.1\" is set up for 192.0.2.1, ignoring",
        "Accepted password for bob from 192.0.2.1 port 5 ssh2",
        "Accepted publickey for bob from 192.0.2.1 port 5 ssh2: RSA SHA256:abc",
        "Postponed keyboard-interactive for invalid user x from 192.0.2.1 port 5 ssh2 [preauth]",
        "Partial publickey for bob from 192.0.2.1 port 5 ssh2: RSA SHA256:abc",
    ] {
        check_mode(message, &[]);
    }
    assert_eq!(Mode::parse("aggressive"), Some(Mode::Aggressive));
    assert_eq!(Mode::parse("Normal"), None);
}

#[test]
fn what_does_not_fit_is_torn() {
    for message in [
        "Failed password for root",
        "Failed password for root from 192.0.2.1 port 5 ssh2 x",
        "Failed password for root from 192.0.2.1 port 5 ssh2: x",
        "Failed password for root from 192.0.2.1, port 5 ssh2",
        "Failed password for root from 192.0.2.1 por",
        "Failed password for root from 192.0.2.1",
        "Failed publickey for invalid user x from 192.0.2.1",
        "Invalid user x from 192.0.2.1 port 5 ",
        "Invalid user x",
        "maximum authentication attempts exceeded for x from 192.0.2.1 port 5 ssh2:",
        "ROOT LOGIN REFUSED FROM 192.0.2.1 port 5 x",
        "Received disconnect from 192.0.2.1",
    ] {
        check(message, "torn");
    }
    check(
        "Failed password for r\u{1b}[0m from 192.0.2.1 port 5 ssh2",
        "control",
    );
    for nobody in [
        "127.0.0.1",
        "::1",
        "fe80::1%eth0",
        "UNKNOWN",
        "host.example",
        "0.0.0.0",
    ] {
        check(
            &format!("Failed password for root from {nobody} port 5 ssh2"),
            "-",
        );
    }
}

#[test]
fn other_programs_are_not_read() {
    let message = "Failed password for root from 192.0.2.1 port 5 ssh2";
    let read = |program: &str| {
        let line = format!("Nov 22 11:21:11 edge {program}[990]: {message}");
        Sshd::default().read(line.as_bytes(), &Context::default())
    };
    for program in ["sshd", "sshd-session", "sshd-auth"] {
        assert!(matches!(read(program), Reading::Failure(_)), "{program}");
    }
    for program in ["ssh", "sshd-x", "SSHD", "su", "dropbear"] {
        assert_eq!(read(program), Reading::Nothing, "{program}");
    }
    assert_eq!(
        Sshd::default().read(message.as_bytes(), &Context::default()),
        Reading::Nothing
    );
}
