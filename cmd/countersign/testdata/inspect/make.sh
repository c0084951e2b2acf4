# What the inspection stories make their messages with: openssl, and a little MIME.
# Sourced by sh in the folder of a story, which has ada's and bea's certificates.
set -e

printf 'Content-Type: text/plain; charset=utf-8\r\n\r\nPotassium 6.1, please call.\r\n' >text

# authority NAME: a root of its own, which nobody trusts yet.
authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.pem -subj "/CN=Authority $1" -days 900 -addext keyUsage=keyCertSign 2>/dev/null
}

# person NAME AUTHORITY KEY SUBJECT EXTENSION...: a certificate for mail.
person() {
	name=$1 ca=$2 key=$3 subject=$4
	shift 4
	printf '%s\n' keyUsage=digitalSignature,keyEncipherment,keyAgreement "$@" >$name.ext
	openssl req -new -newkey $key -nodes -keyout $name.key -out $name.csr -subj "$subject" 2>/dev/null
	openssl x509 -req -in $name.csr -CA $ca.pem -CAkey $ca.key -CAcreateserial -days 300 -extfile $name.ext -out $name.pem 2>/dev/null
}

# head FROM: the header of a message up to what it is.
head() {
	printf 'From: %s\nTo: %s\nSubject: Result\nDate: Fri, 20 Nov 2026 10:11:12 +0100\nMIME-Version: 1.0\n' "$1" "$ADA"
}

# sign OUT FROM SIGNER OPTION...: a message signed by openssl.
sign() {
	out=$1 from=$2 who=$3
	shift 3
	{ head "$from"; openssl cms -sign -in text -signer $who.pem -inkey $who.key -certfile issuing.pem "$@" | sed /^MIME-Version/d; } >$out
}

# seal OUT IN OPTION...: a message encrypted by openssl.
seal() {
	out=$1 in=$2
	shift 2
	{ head "$BEA"; openssl cms -encrypt -in $in "$@" | sed /^MIME-Version/d; } >$out
}

# apart OUT SIGNATURE: multipart/signed of text and a detached signature in DER.
apart() {
	{
		head "$BEA"
		printf 'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary=b\n\n--b\n'
		cat text
		printf '\n--b\nContent-Type: application/pkcs7-signature; name=smime.p7s\nContent-Transfer-Encoding: base64\n\n'
		base64 $2
		printf '\n--b--\n'
	} >$1
}

# whole OUT KIND CMS: application/pkcs7-mime of a CMS object in DER.
whole() {
	{
		head "$BEA"
		printf 'Content-Type: application/pkcs7-mime; smime-type=%s; name=smime.p7m\nContent-Transfer-Encoding: base64\n\n' $2
		base64 $3
	} >$1
}
