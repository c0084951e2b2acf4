/* A small PKCS#11 library for every system, with one token and one RSA key that is none: to sign or decrypt
   is to reverse the bytes. It keeps what is put on it, in its memory. It counts wrong PINs as a card does, and takes parameters only as the standard lays
   them out; on Windows that is words of 4 bytes and structs packed to 1. In each operation it does what
   SMALL_DOES says besides: print, crash or hang. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#pragma pack(push, 1)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

typedef unsigned long word;
typedef unsigned char byte;
typedef word (*function)();

struct version { byte major, minor; };
struct info { struct version v; byte manufacturer[32]; word flags; byte description[32]; struct version l; };
struct slot { byte description[64], manufacturer[32]; word flags; struct version h, f; };
struct token { byte label[32], manufacturer[32], model[16], serial[16]; word flags, counts[10]; struct version h, f; byte time[16]; };
struct triple { word type; void *value; word length; };
struct pss { word hash, mgf, salt; };
struct oaep { word hash, mgf, source; byte *data; word length; };
struct ecdh { word kdf, sharedlength; byte *shared; word publiclength; byte *public; };
struct arguments { void *create, *destroy, *lock, *unlock; word flags; void *reserved; };
struct list { struct version v; function f[68]; };

static const char pin[] = "12%34 56";
static word wrong, in, found, mechanism, derived;
static byte shared[32];

static void text(byte *to, const char *from, size_t n) { memset(to, ' ', n); memcpy(to, from, strlen(from)); }

static word initialize(struct arguments *a) {
  if (a && (a->create || a->flags != 2)) return 7;
  if (a && a->reserved && strcmp(a->reserved, "reserved for us")) return 7;
  return 0;
}
static word nothing() { return 0; }
static word info(struct info *i) { memset(i, 0, sizeof *i); text(i->description, "Small", 32); return 0; }
static word slots(byte only, word *list, word *n) { if (list) list[0] = 7; *n = 1; return 0; }
static word slotInfo(word s, struct slot *i) { memset(i, 0, sizeof *i); text(i->description, "Reader", 64); i->flags = 1; return 0; }
static word tokenInfo(word s, struct token *t) {
  if (s != 7) return 3;
  memset(t, 0, sizeof *t);
  text(t->label, "Small token", 32); text(t->manufacturer, "Countersign", 32); text(t->model, "Test", 16); text(t->serial, "0001", 16);
  t->flags = 0x4 | 0x8 | (wrong == 1 ? 0x10000 : 0) | (wrong == 2 ? 0x20000 : 0) | (wrong >= 3 ? 0x40000 : 0);
  return 0;
}
static word mechanismInfo(word s, word m, word *i) { return m == 0 || m == 1 || m == 9 || m == 0xd || m == 0x1050 ? 0 : 0x70; }
static word open(word s, word flags, void *a, void *b, word *h) { *h = flags == 6 ? 12 : 11; return flags == 4 || flags == 6 ? 0 : 7; }
static word login(word h, word user, byte *p, word n) {
  if (wrong >= 3) return 0xa4;
  if (in) return 0x100;
  if (n != sizeof pin - 1 || memcmp(p, pin, n)) { wrong++; return wrong >= 3 ? 0xa4 : 0xa0; }
  wrong = 0; in = 1;
  return 0;
}
static word logout(word h) { in = 0; return 0; }

/* What is put here: templates as they came, from handle 20 on. */
static struct { int used, n; struct triple t[24]; byte room[4096]; word full; } put[4];
static word flag(struct triple *t, word n, word type) {
  for (word i = 0; i < n; i++) if (t[i].type == type && t[i].length == 1) return *(byte *)t[i].value;
  return 9;
}
static word keep(struct triple *t, word n, word *made) {
  for (int o = 0; o < 4; o++) if (!put[o].used) {
    put[o].used = 1; put[o].n = 0; put[o].full = 0;
    for (word i = 0; i < n; i++) {
      struct triple *to = &put[o].t[put[o].n++];
      if (put[o].full + t[i].length > sizeof put[o].room) return 0x31;
      *to = t[i];
      to->value = put[o].room + put[o].full;
      memcpy(to->value, t[i].value, t[i].length);
      put[o].full += t[i].length;
    }
    *made = 20 + o;
    return 0;
  }
  return 0x31;
}
static struct triple *part(word o, word type) {
  if (o >= 20 && o < 24 && put[o - 20].used)
    for (int i = 0; i < put[o - 20].n; i++) if (put[o - 20].t[i].type == type) return &put[o - 20].t[i];
  return 0;
}
static word create(word h, struct triple *t, word n, word *made) {
  if (h != 12) return 0xb5;
  if (!in) return 0x101;
  if (n < 5 || t[0].type != 0 || t[0].length != sizeof(word) || flag(t, n, 1) != 1) return 0xd0;
  word class = *(word *)t[0].value;
  if (class == 3 && (flag(t, n, 2) != 1 || flag(t, n, 0x103) != 1 || flag(t, n, 0x162) != 0 || n != 18)) return 0xd1;
  if (class == 1 && (flag(t, n, 2) != 0 || n != 10)) return 0xd1;
  return keep(t, n, made);
}
static word generate(word h, struct triple *m, struct triple *u, word un, struct triple *r, word rn, word *open, word *secret) {
  static byte modulus[256] = {0xc0, 1, 2, 3};
  struct triple with[24], value = {0x120, modulus, sizeof modulus};
  int sized = 0;
  if (h != 12) return 0xb5;
  if (!in) return 0x101;
  if (m->type != 0 || m->length || m->value) return 0x71;
  for (word i = 0; i < un; i++) sized |= u[i].type == 0x121 && u[i].length == sizeof(word) && *(word *)u[i].value == 2048;
  if (!sized || flag(u, un, 1) != 1 || flag(u, un, 2) != 0 || flag(r, rn, 0x103) != 1 || flag(r, rn, 0x162) != 0 || flag(r, rn, 2) != 1) return 0xd1;
  memcpy(with, u, un * sizeof *u); with[un] = value;
  if (keep(with, un + 1, open)) return 0x31;
  memcpy(with, r, rn * sizeof *r); with[rn] = value;
  return keep(with, rn + 1, secret);
}
static word set(word h, word o, struct triple *t, word n) {
  struct triple *to = part(o, t->type);
  if (h != 12) return 0xb5;
  if (!to || n != 1 || put[o - 20].full + t->length > sizeof put[o - 20].room) return 0x82;
  to->value = put[o - 20].room + put[o - 20].full;
  to->length = t->length;
  memcpy(to->value, t->value, t->length);
  put[o - 20].full += t->length;
  return 0;
}
static word destroy(word h, word o) {
  if (o == 6) return 0;
  if (h != 12) return 0xb5;
  if (o < 20 || o > 23 || !put[o - 20].used) return 0x82;
  memset(&put[o - 20], 0, sizeof put[0]);
  return 0;
}
static word sessionInfo(word h, word *i) { i[0] = 7; i[1] = (h == 12 ? 2 : 0) + in; i[2] = 4; i[3] = 0; return 0; }

static struct triple wanted[8];
static byte wantedRoom[8][256];
static word wants, at;
static word findInit(word h, struct triple *t, word n) {
  found = 0; wants = n; at = 0;
  if (n < 1 || n > 8 || t[0].type != 0 || t[0].length != sizeof(word)) return 7;
  for (word i = 0; i < n; i++) { wanted[i] = t[i]; memcpy(wanted[i].value = wantedRoom[i], t[i].value, t[i].length); }
  int small = 1; /* whether our own key may be meant */
  for (word i = 0; i < n; i++) if (t[i].type == 0x102) small = t[i].length == 3 && !memcmp(t[i].value, "\1\2\3", 3);
  if (*(word *)t[0].value == 3 && in && small) found = 5;
  return 0;
}
static word find(word h, word *o, word max, word *n) {
  *n = 0;
  if (found) { o[(*n)++] = found; found = 0; }
  for (; at < 4 && *n < max; at++) {
    int fits = put[at].used && (in || flag(put[at].t, put[at].n, 2) == 0);
    for (word i = 0; fits && i < wants; i++) {
      struct triple *p = part(20 + at, wanted[i].type);
      fits = p && p->length == wanted[i].length && !memcmp(p->value, wanted[i].value, p->length);
    }
    if (fits) o[(*n)++] = 20 + at;
  }
  return 0;
}
static word attribute(word h, word o, struct triple *t, word n) {
  static const byte id[] = {1, 2, 3};
  static byte modulus[128] = {0x80, 1};
  word rsa = 0;
  const void *value; word length;
  if (o >= 20) {
    struct triple *p = part(o, t->type);
    if (!p) { t->length = (word)-1; return 0x12; }
    value = p->value; length = p->length;
  }
  else if (o == 6 && t->type == 0x11) { value = shared; length = derived; }
  else if (t->type == 0x102) { value = id; length = sizeof id; }
  else if (t->type == 0x3) { value = "small key"; length = 9; }
  else if (t->type == 0x100) { value = &rsa; length = sizeof rsa; }
  else if (t->type == 0x120) { value = modulus; length = sizeof modulus; }
  else { t->length = (word)-1; return 0x12; }
  if (length > t->length) { t->length = (word)-1; return 0x150; }
  memcpy(t->value, value, length);
  t->length = length;
  return 0;
}
static word begin(word h, struct triple *m, word k) {
  if (!in) return 0x101;
  if (k != 5) return 0x60;
  mechanism = m->type;
  if (m->type == 0xd) {
    struct pss *p = m->value;
    if (m->length != sizeof *p || p->hash != 0x250 || p->mgf != 1 || p->salt != 20) return 0x71;
  } else if (m->type == 9) {
    struct oaep *p = m->value;
    if (m->length != sizeof *p || p->hash != 0x270 || p->mgf != 2 || p->source != 1 || p->length != 5 || memcmp(p->data, "label", 5)) return 0x71;
  } else if (m->type != 1) return 0x70;
  return 0;
}
static word operate(word h, byte *in, word n, byte *out, word *outn) {
  const char *does = getenv("SMALL_DOES");
  if (does && !strcmp(does, "print")) { puts("a line of the library's own"); fflush(stdout); }
  if (does && !strcmp(does, "crash")) *(volatile int *)0 = 1;
  if (does && !strcmp(does, "hang")) for (volatile int i = 0;; i++) ;
  if (!mechanism) return 0x91;
  mechanism = 0;
  if (!out || *outn < n) return 0x150; /* a query for the size has used the key up */
  for (word i = 0; i < n; i++) out[i] = in[n - 1 - i];
  *outn = n;
  return 0;
}
static word derive(word h, struct triple *m, word k, struct triple *t, word n, word *made) {
  struct ecdh *p = m->value;
  if (m->type != 0x1050 || m->length != sizeof *p || p->kdf != 1 || p->shared || n != 6) return 0x71;
  if (p->public[0] == 4 && p->public[1] == p->publiclength - 2) memcpy(shared, p->public + 2, derived = 32);
  else return 0x20; /* it wants an OCTET STRING */
  *made = 6;
  return 0;
}

EXPORT word C_GetFunctionList(struct list **out) {
  static struct list l;
  for (int i = 0; i < 68; i++) l.f[i] = nothing;
  l.f[0] = initialize; l.f[2] = info; l.f[4] = slots; l.f[5] = slotInfo; l.f[6] = tokenInfo; l.f[8] = mechanismInfo; l.f[12] = open;
  l.f[15] = sessionInfo; l.f[20] = create; l.f[22] = destroy; l.f[25] = set; l.f[59] = generate;
  l.f[18] = login; l.f[19] = logout; l.f[24] = attribute; l.f[26] = findInit; l.f[27] = find; l.f[33] = begin; l.f[34] = operate;
  l.f[42] = begin; l.f[43] = operate; l.f[62] = derive;
  *out = &l;
  return 0;
}
