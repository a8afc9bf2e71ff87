//! The kernel's numbers under the kernel's names: libc's where libc has them, else with the header
//! they stand in. Numbers only, of the type that the wire wants, so that [`crate::wire`] stays pure.

// linux/netlink.h
/// Every message from us to the kernel is a request.
pub const NLM_F_REQUEST: u16 = libc::NLM_F_REQUEST as u16;
/// Answer also when all went well.
pub const NLM_F_ACK: u16 = libc::NLM_F_ACK as u16;
/// Make it if it is not there.
pub const NLM_F_CREATE: u16 = libc::NLM_F_CREATE as u16;
/// It is an error if it is there.
pub const NLM_F_EXCL: u16 = libc::NLM_F_EXCL as u16;
/// Put the rule behind the others.
pub const NLM_F_APPEND: u16 = libc::NLM_F_APPEND as u16;
/// Give all objects.
pub const NLM_F_DUMP: u16 = libc::NLM_F_DUMP as u16;
/// In a dump: what it shows changed meanwhile, so that something may be missing.
pub const NLM_F_DUMP_INTR: u16 = libc::NLM_F_DUMP_INTR as u16;
/// In an answer: the request is not echoed beyond its header.
pub const NLM_F_CAPPED: u16 = libc::NLM_F_CAPPED as u16;
/// In an answer: attributes follow that say more.
pub const NLM_F_ACK_TLVS: u16 = libc::NLM_F_ACK_TLVS as u16;
/// An answer: 0 or a negative errno.
pub const NLMSG_ERROR: u16 = libc::NLMSG_ERROR as u16;
/// The end of a dump.
pub const NLMSG_DONE: u16 = libc::NLMSG_DONE as u16;
/// `nlmsgerr_attrs`: a sentence.
pub const NLMSGERR_ATTR_MSG: u16 = 1;
/// `nlmsgerr_attrs`: the offset of the attribute that was wrong.
pub const NLMSGERR_ATTR_OFFS: u16 = 2;
/// The attribute holds attributes.
pub const NLA_F_NESTED: u16 = libc::NLA_F_NESTED as u16;
/// The attribute's number is big-endian (ipset insists on it, nf_tables does without).
pub const NLA_F_NET_BYTEORDER: u16 = libc::NLA_F_NET_BYTEORDER as u16;

// linux/netfilter/nfnetlink.h
/// The only version of `nfgenmsg`.
pub const NFNETLINK_V0: u8 = libc::NFNETLINK_V0 as u8;
/// Subsystem in the high byte of the message type.
pub const NFNL_SUBSYS_IPSET: u16 = libc::NFNL_SUBSYS_IPSET as u16;
/// Subsystem in the high byte of the message type.
pub const NFNL_SUBSYS_NFTABLES: u16 = libc::NFNL_SUBSYS_NFTABLES as u16;
/// Opens a transaction.
pub const NFNL_MSG_BATCH_BEGIN: u16 = libc::NFNL_MSG_BATCH_BEGIN as u16;
/// Commits it.
pub const NFNL_MSG_BATCH_END: u16 = libc::NFNL_MSG_BATCH_END as u16;
/// Multicast group of all changes to nf_tables.
pub const NFNLGRP_NFTABLES: u32 = libc::NFNLGRP_NFTABLES as u32;

// linux/netfilter.h
/// Family of the tables that see IPv4 and IPv6.
pub const NFPROTO_INET: u8 = libc::NFPROTO_INET as u8;
/// IPv4.
pub const NFPROTO_IPV4: u8 = libc::NFPROTO_IPV4 as u8;
/// IPv6.
pub const NFPROTO_IPV6: u8 = libc::NFPROTO_IPV6 as u8;
/// The hook that sees every packet that arrives, before routing.
pub const NF_INET_PRE_ROUTING: u32 = libc::NF_INET_PRE_ROUTING as u32;
/// The hook of packets for this machine.
pub const NF_INET_LOCAL_IN: u32 = libc::NF_INET_LOCAL_IN as u32;
/// The hook of packets that are routed on.
pub const NF_INET_FORWARD: u32 = libc::NF_INET_FORWARD as u32;
/// Before connection tracking.
pub const NF_IP_PRI_RAW: i32 = libc::NF_IP_PRI_RAW;
/// After connection tracking, which is at -200 (linux/netfilter_ipv4.h), and before anything else of the kernel's own.
pub const BEHIND_CONNTRACK: i32 = -199;
/// Verdict.
pub const NF_DROP: i32 = libc::NF_DROP;
/// Verdict.
pub const NF_ACCEPT: i32 = libc::NF_ACCEPT;

// linux/netfilter/nf_tables.h: messages
/// Make a table.
pub const NFT_MSG_NEWTABLE: u16 = libc::NFT_MSG_NEWTABLE as u16;
/// Show a table.
pub const NFT_MSG_GETTABLE: u16 = libc::NFT_MSG_GETTABLE as u16;
/// Remove a table and what is in it.
pub const NFT_MSG_DELTABLE: u16 = libc::NFT_MSG_DELTABLE as u16;
/// Make a chain.
pub const NFT_MSG_NEWCHAIN: u16 = libc::NFT_MSG_NEWCHAIN as u16;
/// Show chains.
pub const NFT_MSG_GETCHAIN: u16 = libc::NFT_MSG_GETCHAIN as u16;
/// Remove a chain.
pub const NFT_MSG_DELCHAIN: u16 = libc::NFT_MSG_DELCHAIN as u16;
/// Make a rule.
pub const NFT_MSG_NEWRULE: u16 = libc::NFT_MSG_NEWRULE as u16;
/// Show rules.
pub const NFT_MSG_GETRULE: u16 = libc::NFT_MSG_GETRULE as u16;
/// Remove rules.
pub const NFT_MSG_DELRULE: u16 = libc::NFT_MSG_DELRULE as u16;
/// Make a set.
pub const NFT_MSG_NEWSET: u16 = libc::NFT_MSG_NEWSET as u16;
/// Show sets.
pub const NFT_MSG_GETSET: u16 = libc::NFT_MSG_GETSET as u16;
/// Remove a set.
pub const NFT_MSG_DELSET: u16 = libc::NFT_MSG_DELSET as u16;
/// Add an element.
pub const NFT_MSG_NEWSETELEM: u16 = libc::NFT_MSG_NEWSETELEM as u16;
/// Show elements.
pub const NFT_MSG_GETSETELEM: u16 = libc::NFT_MSG_GETSETELEM as u16;
/// Remove an element.
pub const NFT_MSG_DELSETELEM: u16 = libc::NFT_MSG_DELSETELEM as u16;
/// Remove an element if it is there (Linux 6.3).
pub const NFT_MSG_DESTROYSETELEM: u16 = 30;
/// A transaction was committed.
pub const NFT_MSG_NEWGEN: u16 = libc::NFT_MSG_NEWGEN as u16;

// linux/netfilter/nf_tables.h: attributes. libc has none of them.
/// In any list.
pub const NFTA_LIST_ELEM: u16 = 1;
/// `enum nft_table_attributes`.
pub const NFTA_TABLE_NAME: u16 = 1;
/// `enum nft_table_attributes`.
pub const NFTA_TABLE_FLAGS: u16 = 2;
/// `enum nft_table_flags`: only the socket that made it may change it (Linux 5.12).
pub const NFT_TABLE_F_OWNER: u32 = 2;
/// `enum nft_table_flags`: it outlives its owner (Linux 6.9).
pub const NFT_TABLE_F_PERSIST: u32 = 4;
/// `enum nft_chain_attributes`.
pub const NFTA_CHAIN_TABLE: u16 = 1;
/// `enum nft_chain_attributes`.
pub const NFTA_CHAIN_NAME: u16 = 3;
/// `enum nft_chain_attributes`.
pub const NFTA_CHAIN_HOOK: u16 = 4;
/// `enum nft_chain_attributes`.
pub const NFTA_CHAIN_POLICY: u16 = 5;
/// `enum nft_chain_attributes`.
pub const NFTA_CHAIN_TYPE: u16 = 7;
/// `enum nft_hook_attributes`.
pub const NFTA_HOOK_HOOKNUM: u16 = 1;
/// `enum nft_hook_attributes`.
pub const NFTA_HOOK_PRIORITY: u16 = 2;
/// `enum nft_rule_attributes`.
pub const NFTA_RULE_TABLE: u16 = 1;
/// `enum nft_rule_attributes`.
pub const NFTA_RULE_CHAIN: u16 = 2;
/// `enum nft_rule_attributes`.
pub const NFTA_RULE_EXPRESSIONS: u16 = 4;
/// `enum nft_set_attributes`.
pub const NFTA_SET_TABLE: u16 = 1;
/// `enum nft_set_attributes`.
pub const NFTA_SET_NAME: u16 = 2;
/// `enum nft_set_attributes`.
pub const NFTA_SET_FLAGS: u16 = 3;
/// `enum nft_set_attributes`.
pub const NFTA_SET_KEY_TYPE: u16 = 4;
/// `enum nft_set_attributes`.
pub const NFTA_SET_KEY_LEN: u16 = 5;
/// `enum nft_set_attributes`.
pub const NFTA_SET_DESC: u16 = 9;
/// `enum nft_set_desc_attributes`: most elements.
pub const NFTA_SET_DESC_SIZE: u16 = 1;
/// `enum nft_set_attributes`.
pub const NFTA_SET_ID: u16 = 10;
/// `enum nft_set_attributes`: the time of elements that name none.
pub const NFTA_SET_TIMEOUT: u16 = 11;
/// `enum nft_set_attributes`.
pub const NFTA_SET_GC_INTERVAL: u16 = 12;
/// `enum nft_set_attributes`: what the kernel keeps for nft(8).
pub const NFTA_SET_USERDATA: u16 = 13;
/// What nft(8) shows as a set's comment (libnftnl's udata.h: `NFTNL_UDATA_SET_COMMENT`): type, length, text, NUL.
pub const NFTNL_UDATA_SET_COMMENT: u8 = 7;
/// `enum nft_set_flags`: elements go by themselves.
pub const NFT_SET_TIMEOUT: u32 = libc::NFT_SET_TIMEOUT as u32;
/// `enum nft_set_flags`: rules add elements.
pub const NFT_SET_EVAL: u32 = 0x20;
/// `enum nft_set_elem_list_attributes`.
pub const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
/// `enum nft_set_elem_list_attributes`.
pub const NFTA_SET_ELEM_LIST_SET: u16 = 2;
/// `enum nft_set_elem_list_attributes`.
pub const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
/// `enum nft_set_elem_attributes`.
pub const NFTA_SET_ELEM_KEY: u16 = 1;
/// `enum nft_set_elem_attributes`.
pub const NFTA_SET_ELEM_TIMEOUT: u16 = 4;
/// `enum nft_set_elem_attributes`: milliseconds left.
pub const NFTA_SET_ELEM_EXPIRATION: u16 = 5;
/// `enum nft_data_attributes`.
pub const NFTA_DATA_VALUE: u16 = 1;
/// `enum nft_data_attributes`.
pub const NFTA_DATA_VERDICT: u16 = 2;
/// `enum nft_verdict_attributes`.
pub const NFTA_VERDICT_CODE: u16 = 1;
/// `enum nft_verdict_attributes`.
pub const NFTA_VERDICT_CHAIN: u16 = 2;
/// `enum nft_verdicts`.
pub const NFT_JUMP: i32 = libc::NFT_JUMP;

// linux/netfilter/nf_tables.h: expressions
/// `enum nft_expr_attributes`.
pub const NFTA_EXPR_NAME: u16 = 1;
/// `enum nft_expr_attributes`.
pub const NFTA_EXPR_DATA: u16 = 2;
/// The register that all our comparisons use.
pub const NFT_REG_1: u32 = libc::NFT_REG_1 as u32;
/// The register of the verdict.
pub const NFT_REG_VERDICT: u32 = libc::NFT_REG_VERDICT as u32;
/// `enum nft_meta_attributes`.
pub const NFTA_META_DREG: u16 = 1;
/// `enum nft_meta_attributes`.
pub const NFTA_META_KEY: u16 = 2;
/// `enum nft_meta_keys`: IPv4 or IPv6.
pub const NFT_META_NFPROTO: u32 = libc::NFT_META_NFPROTO as u32;
/// `enum nft_meta_keys`: TCP, UDP, …
pub const NFT_META_L4PROTO: u32 = libc::NFT_META_L4PROTO as u32;
/// `enum nft_ct_attributes`.
pub const NFTA_CT_DREG: u16 = 1;
/// `enum nft_ct_attributes`.
pub const NFTA_CT_KEY: u16 = 2;
/// `enum nft_ct_keys`: [`IP_CT_DIR_REPLY`], or 0 for what goes the way of the flow's first packet.
pub const NFT_CT_DIRECTION: u32 = 1;
/// `enum ip_conntrack_dir` (linux/netfilter/nf_conntrack_tuple_common.h).
pub const IP_CT_DIR_REPLY: u8 = 1;
/// ICMP for IPv6, as libc has it.
pub const IPPROTO_ICMPV6: u8 = libc::IPPROTO_ICMPV6 as u8;
/// `XT_CONNTRACK_DIRECTION` (linux/netfilter/xt_conntrack.h).
pub const XT_CONNTRACK_DIRECTION: u16 = 1 << 12;
/// `enum` in linux/netfilter/xt_hashlimit.h: counted by source.
pub const XT_HASHLIMIT_HASH_SIP: u32 = 1 << 2;
/// The same: what is over the limit matches.
pub const XT_HASHLIMIT_INVERT: u32 = 1 << 4;
/// The same: `XT_HASHLIMIT_SCALE_v2`, so many units in a second.
pub const XT_HASHLIMIT_SCALE: u64 = 1_000_000;
/// `enum nft_cmp_attributes`.
pub const NFTA_CMP_SREG: u16 = 1;
/// `enum nft_cmp_attributes`.
pub const NFTA_CMP_OP: u16 = 2;
/// `enum nft_cmp_attributes`.
pub const NFTA_CMP_DATA: u16 = 3;
/// `enum nft_cmp_ops`.
pub const NFT_CMP_EQ: u32 = libc::NFT_CMP_EQ as u32;
/// `enum nft_cmp_ops`.
pub const NFT_CMP_LTE: u32 = libc::NFT_CMP_LTE as u32;
/// `enum nft_cmp_ops`.
pub const NFT_CMP_GTE: u32 = libc::NFT_CMP_GTE as u32;
/// `enum nft_payload_attributes`.
pub const NFTA_PAYLOAD_DREG: u16 = 1;
/// `enum nft_payload_attributes`.
pub const NFTA_PAYLOAD_BASE: u16 = 2;
/// `enum nft_payload_attributes`.
pub const NFTA_PAYLOAD_OFFSET: u16 = 3;
/// `enum nft_payload_attributes`.
pub const NFTA_PAYLOAD_LEN: u16 = 4;
/// `enum nft_payload_bases`.
pub const NFT_PAYLOAD_NETWORK_HEADER: u32 = libc::NFT_PAYLOAD_NETWORK_HEADER as u32;
/// `enum nft_payload_bases`.
pub const NFT_PAYLOAD_TRANSPORT_HEADER: u32 = libc::NFT_PAYLOAD_TRANSPORT_HEADER as u32;
/// `enum nft_bitwise_attributes`.
pub const NFTA_BITWISE_SREG: u16 = 1;
/// `enum nft_bitwise_attributes`.
pub const NFTA_BITWISE_DREG: u16 = 2;
/// `enum nft_bitwise_attributes`.
pub const NFTA_BITWISE_LEN: u16 = 3;
/// `enum nft_bitwise_attributes`.
pub const NFTA_BITWISE_MASK: u16 = 4;
/// `enum nft_bitwise_attributes`.
pub const NFTA_BITWISE_XOR: u16 = 5;
/// `enum nft_lookup_attributes`.
pub const NFTA_LOOKUP_SET: u16 = 1;
/// `enum nft_lookup_attributes`.
pub const NFTA_LOOKUP_SREG: u16 = 2;
/// `enum nft_match_attributes` (linux/netfilter/nf_tables_compat.h).
pub const NFTA_MATCH_NAME: u16 = 1;
/// `enum nft_match_attributes`.
pub const NFTA_MATCH_REV: u16 = 2;
/// `enum nft_match_attributes`.
pub const NFTA_MATCH_INFO: u16 = 3;
/// `enum nft_dynset_attributes`.
pub const NFTA_DYNSET_SET_NAME: u16 = 1;
/// `enum nft_dynset_attributes`.
pub const NFTA_DYNSET_OP: u16 = 3;
/// `enum nft_dynset_attributes`.
pub const NFTA_DYNSET_SREG_KEY: u16 = 4;
/// `enum nft_dynset_attributes`: milliseconds.
pub const NFTA_DYNSET_TIMEOUT: u16 = 6;
/// `enum nft_dynset_attributes`: what each element counts with.
pub const NFTA_DYNSET_EXPR: u16 = 7;
/// `enum nft_dynset_ops`: adds an element, or gives it its time again.
pub const NFT_DYNSET_OP_UPDATE: u32 = 1;
/// `enum nft_limit_attributes`.
pub const NFTA_LIMIT_RATE: u16 = 1;
/// `enum nft_limit_attributes`: seconds for which the rate is.
pub const NFTA_LIMIT_UNIT: u16 = 2;
/// `enum nft_limit_attributes`.
pub const NFTA_LIMIT_BURST: u16 = 3;
/// `enum nft_limit_attributes`.
pub const NFTA_LIMIT_TYPE: u16 = 4;
/// `enum nft_limit_attributes`.
pub const NFTA_LIMIT_FLAGS: u16 = 5;
/// `enum nft_limit_type`: packets.
pub const NFT_LIMIT_PKTS: u32 = 0;
/// `enum nft_limit_flags`: what is over the limit goes on in the rule.
pub const NFT_LIMIT_F_INV: u32 = 1;
/// `enum nft_meta_keys`: the number of the interface, in the machine's own byte order.
pub const NFT_META_IIF: u32 = 4;
/// The loopback interface in every network namespace (linux/if.h: `LOOPBACK_IFINDEX`).
pub const LOOPBACK_IFINDEX: u32 = 1;
/// `enum nft_immediate_attributes`.
pub const NFTA_IMMEDIATE_DREG: u16 = 1;
/// `enum nft_immediate_attributes`.
pub const NFTA_IMMEDIATE_DATA: u16 = 2;

// netinet/in.h
/// TCP, as in the IP header.
pub const IPPROTO_TCP: u8 = libc::IPPROTO_TCP as u8;
/// UDP, as in the IP header.
pub const IPPROTO_UDP: u8 = libc::IPPROTO_UDP as u8;

// errno.h: what nf_tables and ipset answer with
/// Not root.
pub const EPERM: i32 = libc::EPERM;
/// No such table, set, element or expression.
pub const ENOENT: i32 = libc::ENOENT;
/// It is there.
pub const EEXIST: i32 = libc::EEXIST;
/// In use.
pub const EBUSY: i32 = libc::EBUSY;
/// The kernel does not know the subsystem or the attribute.
pub const EINVAL: i32 = libc::EINVAL;
/// The set is full (nf_tables).
pub const ENFILE: i32 = libc::ENFILE;
/// Try again.
pub const EAGAIN: i32 = libc::EAGAIN;
/// Interrupted, or the ruleset changed meanwhile.
pub const EINTR: i32 = libc::EINTR;
/// The ruleset changed meanwhile.
pub const ERESTART: i32 = libc::ERESTART;
/// No memory.
pub const ENOMEM: i32 = libc::ENOMEM;
/// A socket buffer was full.
pub const ENOBUFS: i32 = libc::ENOBUFS;
/// nf_tables is not there, or it does not know a flag.
pub const EOPNOTSUPP: i32 = libc::EOPNOTSUPP;
/// nfnetlink is not there.
pub const EPROTONOSUPPORT: i32 = libc::EPROTONOSUPPORT;
/// No IPv6.
pub const EAFNOSUPPORT: i32 = libc::EAFNOSUPPORT;
/// ip_tables is not there.
pub const ENOPROTOOPT: i32 = libc::ENOPROTOOPT;

// linux/netfilter/ipset/ip_set.h. libc has none of it.
/// The version of the protocol that all kernels take.
pub const IPSET_PROTOCOL: u8 = 6;
/// `enum ipset_cmd`.
pub const IPSET_CMD_CREATE: u16 = 2;
/// `enum ipset_cmd`.
pub const IPSET_CMD_DESTROY: u16 = 3;
/// `enum ipset_cmd`.
pub const IPSET_CMD_SWAP: u16 = 6;
/// `enum ipset_cmd`.
pub const IPSET_CMD_LIST: u16 = 7;
/// `enum ipset_cmd`.
pub const IPSET_CMD_ADD: u16 = 9;
/// `enum ipset_cmd`.
pub const IPSET_CMD_DEL: u16 = 10;
/// `enum ipset_cmd`.
pub const IPSET_CMD_TEST: u16 = 11;
/// `enum ipset_cmd`.
pub const IPSET_CMD_TYPE: u16 = 13;
/// Attributes of a command.
pub const IPSET_ATTR_PROTOCOL: u16 = 1;
/// Attributes of a command.
pub const IPSET_ATTR_SETNAME: u16 = 2;
/// Attributes of a command.
pub const IPSET_ATTR_TYPENAME: u16 = 3;
/// Attributes of a command: the other set of a swap.
pub const IPSET_ATTR_SETNAME2: u16 = IPSET_ATTR_TYPENAME;
/// Attributes of a command.
pub const IPSET_ATTR_REVISION: u16 = 4;
/// Attributes of a command.
pub const IPSET_ATTR_FAMILY: u16 = 5;
/// Attributes of a command.
pub const IPSET_ATTR_FLAGS: u16 = 6;
/// Attributes of a command: what follows is about the set's type.
pub const IPSET_ATTR_DATA: u16 = 7;
/// Attributes of a command: several elements, each a `DATA`.
pub const IPSET_ATTR_ADT: u16 = 8;
/// Attributes of a command: a number of the sender's, which the kernel wants beside an `ADT`.
pub const IPSET_ATTR_LINENO: u16 = 9;
/// Attributes of a command, in an answer.
pub const IPSET_ATTR_REVISION_MIN: u16 = 10;
/// `enum ipset_cmd_flags`: list the names only.
pub const IPSET_FLAG_LIST_SETNAME: u32 = 1 << 1;
/// `enum ipset_cmd_flags`: list what a set is, without its elements.
pub const IPSET_FLAG_LIST_HEADER: u32 = 1 << 2;
/// Attributes in `DATA`.
pub const IPSET_ATTR_IP: u16 = 1;
/// Attributes in `DATA`.
pub const IPSET_ATTR_TIMEOUT: u16 = 6;
/// Attributes in `DATA`.
pub const IPSET_ATTR_CADT_FLAGS: u16 = 8;
/// Attributes in `DATA`.
pub const IPSET_ATTR_HASHSIZE: u16 = 18;
/// Attributes in `DATA`.
pub const IPSET_ATTR_MAXELEM: u16 = 19;
/// Attributes in `DATA`.
pub const IPSET_ATTR_NETMASK: u16 = 20;
/// Attributes in `DATA`, in an answer.
pub const IPSET_ATTR_ELEMENTS: u16 = 24;
/// Attributes in `IP`.
pub const IPSET_ATTR_IPADDR_IPV4: u16 = 1;
/// Attributes in `IP`.
pub const IPSET_ATTR_IPADDR_IPV6: u16 = 2;
/// `enum ipset_errno`: no such type, or not in this revision.
pub const IPSET_ERR_FIND_TYPE: i32 = 4098;
/// `enum ipset_errno`: the element is not there.
pub const IPSET_ERR_EXIST: i32 = 4103;
/// `enum ipset_errno`: a rule refers to the set.
pub const IPSET_ERR_BUSY: i32 = 4100;
/// `enum ipset_errno`: the set is full.
pub const IPSET_ERR_HASH_FULL: i32 = 4352;
/// `enum ipset_errno`: the element cannot be stored (0.0.0.0).
pub const IPSET_ERR_HASH_ELEM: i32 = 4353;
/// The socket option that finds a set's number by its name.
pub const SO_IP_SET: i32 = 83;
/// The operation of [`SO_IP_SET`] for that.
pub const IP_SET_OP_GET_BYNAME: u32 = 6;
/// The number of a set that is not there.
pub const IPSET_INVALID_ID: u16 = 65_535;

// linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h: the same numbers
/// Replaces a whole table.
pub const IPT_SO_SET_REPLACE: i32 = 64;
/// Adds to the counters of a table's rules.
pub const IPT_SO_SET_ADD_COUNTERS: i32 = 65;
/// How large a table is.
pub const IPT_SO_GET_INFO: i32 = 64;
/// The rules of a table.
pub const IPT_SO_GET_ENTRIES: i32 = 65;
