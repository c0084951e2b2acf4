package servertest

// Dovecot treats a client of its own address as secured even without TLS, so that
// 127.0.0.1 may sign in to it in the clear; a test of the refusal must come from
// 127.0.0.2.
const dovecotConf = `
base_dir = $D/run
state_dir = $D/run
instance_name = countersign-test
log_path = $D/log/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
mail_uid = mail
mail_gid = mail
first_valid_uid = 1
mail_location = maildir:~/Maildir
mail_home = $D/mail/%n
disable_plaintext_auth = yes
auth_mechanisms = plain login
auth_failure_delay = 0
ssl = required
ssl_cert = <$D/server.pem
ssl_key = <$D/server.pem
ssl_min_protocol = TLSv1.2
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%u $D/users
}
userdb {
  driver = static
  args = uid=mail gid=mail home=$D/mail/%n
}
namespace inbox {
  inbox = yes
  separator = /
  mailbox Sent {
    special_use = \Sent
    auto = subscribe
  }
}
service imap-login {
  inet_listener imap {
    port = $IMAP
  }
  inet_listener imaps {
    port = $IMAPS
    ssl = yes
  }
  chroot =
}
service lmtp {
  unix_listener lmtp {
    mode = 0666
  }
}
service auth {
  unix_listener auth-client {
    mode = 0666
  }
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
protocol imap {
  mail_max_userip_connections = 100
}
`

const postfixMain = `
compatibility_level = 3.6
queue_directory = $D/spool
data_directory = $D/pdata
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = $D/log/postfix.log
maillog_file_prefixes = $D
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.test
mydomain = mail.test
myorigin = mail.test
mydestination =
mynetworks =
alias_maps =
virtual_mailbox_domains = mail.test
virtual_transport = lmtp:unix:$D/run/lmtp
smtpd_sasl_type = dovecot
smtpd_sasl_path = $D/run/auth-client
smtpd_sasl_security_options = noanonymous
smtpd_tls_cert_file = $D/server.pem
smtpd_tls_key_file = $D/server.pem
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
message_size_limit = 157286400
mailbox_size_limit = 0
virtual_mailbox_limit = 0
smtpd_error_sleep_time = 0
smtputf8_enable = yes
default_transport = error:no outside mail
relay_transport = error:no outside mail
smtpd_peername_lookup = no
disable_dns_lookups = yes
smtpd_recipient_restrictions = check_recipient_access inline:{{nobody@mail.test=550 5.1.1 No such person here}, {full@mail.test=552 5.2.2 Mailbox full}, {later@mail.test=450 4.7.1 Greylisted}}
`

const postfixMaster = `
127.0.0.1:$MX inet n - n - - smtpd
127.0.0.1:$SUBMISSION inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
127.0.0.1:$SMTPS inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
showq     unix n - n - - showq
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
lmtp      unix - - n - - lmtp
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
`
