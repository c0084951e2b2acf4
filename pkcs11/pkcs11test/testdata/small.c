/* A small PKCS#11 library for every system, with one token and one RSA key that is none: to sign or decrypt
   is to reverse the bytes. It counts wrong PINs as a card does, and takes parameters only as the standard lays
   them out; on Windows that is words of 4 bytes and structs packed to 1. */
#include <stddef.h>
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
static word mechanismInfo(word s, word m, word *i) { return m == 1 || m == 9 || m == 0xd || m == 0x1050 ? 0 : 0x70; }
static word open(word s, word flags, void *a, void *b, word *h) { *h = 11; return flags == 4 ? 0 : 7; }
static word login(word h, word user, byte *p, word n) {
  if (wrong >= 3) return 0xa4;
  if (in) return 0x100;
  if (n != sizeof pin - 1 || memcmp(p, pin, n)) { wrong++; return wrong >= 3 ? 0xa4 : 0xa0; }
  wrong = 0; in = 1;
  return 0;
}
static word logout(word h) { in = 0; return 0; }
static word findInit(word h, struct triple *t, word n) {
  found = 0;
  if (n < 1 || t[0].type != 0 || t[0].length != sizeof(word)) return 7;
  if (*(word *)t[0].value == 3 && in) found = 5;
  return 0;
}
static word find(word h, word *o, word max, word *n) { *n = found ? 1 : 0; if (found) o[0] = found; found = 0; return 0; }
static word attribute(word h, word o, struct triple *t, word n) {
  static const byte id[] = {1, 2, 3};
  static byte modulus[128] = {0x80, 1};
  word rsa = 0;
  const void *value; word length;
  if (o == 6 && t->type == 0x11) { value = shared; length = derived; }
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
  if (!mechanism) return 0x91;
  mechanism = 0;
  if (!out || *outn < n) return 0x150; /* a query for the size has used the key up */
  for (word i = 0; i < n; i++) out[i] = in[n - 1 - i];
  *outn = n;
  return 0;
}
static word derive(word h, struct triple *m, word k, struct triple *t, word n, word *made) {
  struct ecdh *p = m->value;
  if (m->type != 0x1050 || m->length != sizeof *p || p->kdf != 1 || p->shared || n != 5) return 0x71;
  if (p->public[0] == 4 && p->public[1] == p->publiclength - 2) memcpy(shared, p->public + 2, derived = 32);
  else return 0x20; /* it wants an OCTET STRING */
  *made = 6;
  return 0;
}

EXPORT word C_GetFunctionList(struct list **out) {
  static struct list l;
  for (int i = 0; i < 68; i++) l.f[i] = nothing;
  l.f[0] = initialize; l.f[2] = info; l.f[4] = slots; l.f[5] = slotInfo; l.f[6] = tokenInfo; l.f[8] = mechanismInfo; l.f[12] = open;
  l.f[18] = login; l.f[19] = logout; l.f[24] = attribute; l.f[26] = findInit; l.f[27] = find; l.f[33] = begin; l.f[34] = operate;
  l.f[42] = begin; l.f[43] = operate; l.f[62] = derive;
  *out = &l;
  return 0;
}
