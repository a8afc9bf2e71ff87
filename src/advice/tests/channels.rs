//! sip.conf, pjsip.conf, iax.conf, and logins over HTTP.

use super::{check, check_file, good};

#[test]
fn chan_sip_is_judged() {
    check_file(
        "sip.conf",
        "[general]\nalwaysauthreject = no\n",
        &[
            "sip.conf: password guessing by SUBSCRIBE",
            "sip.conf:2: one spoofed packet writes",
            "sip.conf: anybody may place calls (the default)",
        ],
    );
    check_file(
        "sip.conf",
        "[general]\nallowguest=yes\nallowguest=no\nallowsubscribe=no\n[trunk]\ninsecure=invite\n",
        &[],
    );
    let tree = good().with("/etc/asterisk/sip.conf", "[general]\n");
    check(
        tree.with(
            "/etc/asterisk/modules.conf",
            "[modules]\nautoload=yes\nnoload => chan_sip.so\n",
        ),
        &[],
    );
}

#[test]
fn chan_pjsip_is_judged() {
    check_file(
        "pjsip.conf",
        "[t](!)\ntype=endpoint\n[anonymous](t)\ncontext=x\n[100](t)\nauth=100\n",
        &["pjsip.conf:3: strangers are taken"],
    );
    let global = "[g]\ntype=global\nendpoint_identifier_order=ip, auth_username\n";
    check_file(
        "pjsip.conf",
        global,
        &["pjsip.conf:3: identification by auth_username: the first 5"],
    );
    check_file(
        "pjsip.conf",
        &format!("{global}unidentified_request_count=1\n"),
        &[],
    );
    check_file(
        "pjsip.conf",
        &format!("{global}unidentified_request_count=3\n"),
        &["pjsip.conf:4: …the first 3 tries"],
    );
    check_file(
        "pjsip.conf",
        "[anonymous](!)\ntype=endpoint\n[g]\ntype=global\ndebug=yes\n",
        &[],
    );
}

#[test]
fn chan_iax2_is_judged() {
    check_file("iax.conf", "[general]\n", &["iax.conf: authdebug is not set"]);
    check_file(
        "iax.conf",
        "[general]\nauthdebug=no\n",
        &["iax.conf:2: authdebug is off"],
    );
    check_file(
        "iax.conf",
        "[general]\nauthdebug=yes\ncalltokenoptional=0.0.0.0/0.0.0.0\n[a]\nrequirecalltoken=auto\n",
        &[
            "iax.conf:3: calls from these networks",
            "iax.conf:5: this peer needs no call token",
        ],
    );
    check_file(
        "iax.conf",
        "[general]\nauthdebug=yes\n[a]\nrequirecalltoken=yes\n",
        &[],
    );
}

#[test]
fn logins_over_http_are_judged_if_they_can_be_reached() {
    let ari = "[general]\nenabled=yes\n[u]\ntype=user\n";
    let manager = "[general]\nenabled=yes\nwebenabled=yes\n";
    let web = |http: &str| {
        good()
            .with("/etc/asterisk/http.conf", http)
            .with("/etc/asterisk/ari.conf", ari)
            .with("/etc/asterisk/manager.conf", manager)
    };
    check(
        web("[general]\nenabled=yes\nbindaddr=0.0.0.0\n"),
        &[
            "http.conf:3: ARI can be reached",
            "manager.conf:3: logins over HTTP",
        ],
    );
    check(web("[general]\nenabled=yes\nbindaddr=127.0.0.1\n"), &[]);
    check(web("[general]\nenabled=no\nbindaddr=0.0.0.0\n"), &[]);
    check(web("[general]\nenabled=yes\n"), &[]);
    check(
        web("[general]\nenabled=yes\nbindaddr=::1\ntlsenable=yes\ntlsbindaddr=[::]:8089\n"),
        &["http.conf:5: ARI can be reached", "manager.conf:3: "],
    );
}
