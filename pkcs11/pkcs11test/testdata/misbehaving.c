/* A PKCS#11 library that forwards to $MISBEHAVING_REAL and does wrong what the file
   $MISBEHAVING_HOW says at the moment of each call: a word, or a word and "once", upon
   which the file is emptied. No PKCS#11 header is needed: words and pointers only. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long word;
typedef word (*function)();
struct list { unsigned char version[2]; function f[68]; };

static struct list *real, ours;
static char how[64];
static int entered; /* a login, and no key was used since */
static int started; /* of an always-authenticate operation: 1 begun, 2 authenticated */

/* is tells whether wrong is what is to be done now. */
static int is(const char *wrong) {
  FILE *f = fopen(getenv("MISBEHAVING_HOW"), "r");
  size_t n = 0;
  if (f) { n = fread(how, 1, sizeof how - 1, f); fclose(f); }
  how[n] = 0;
  size_t w = strlen(wrong);
  if (strncmp(how, wrong, w) || (how[w] && how[w] != ' ' && how[w] != '\n')) return 0;
  if (strstr(how, " once")) fclose(fopen(getenv("MISBEHAVING_HOW"), "w"));
  return 1;
}

static void noise(void) {
  for (int i = 0; i < 20000; i++) { printf("noise on the standard output\n"); fprintf(stderr, "noise on the standard error\n"); }
  fflush(stdout);
}

static word operate(int i, word s, void *in, word n, unsigned char *out, word *outn) {
  entered = 0;
  if (is("crash")) *(volatile int *)8 = 1;
  if (is("abort")) abort();
  if (is("exit")) exit(0);
  if (is("hang")) for (;;) sleep(1000);
  if (is("print")) noise();
  if (is("long")) { *outn = 1UL << 40; return 0; }
  if (is("general")) return 0x5;
  if (is("removed")) return 0x32;
  if (is("vendor")) return 0x80000001UL;
  if (is("always")) { if (started != 2) return 0x101; started = 0; }
  word r = real->f[i](s, in, n, out, outn);
  if (is("garbage") && r == 0 && out) out[*outn / 2] ^= 1;
  if (is("short") && r == 0) *outn /= 2;
  return r;
}
static word sign(word s, void *in, word n, unsigned char *out, word *outn) { return operate(43, s, in, n, out, outn); }
static word decrypt(word s, void *in, word n, unsigned char *out, word *outn) { return operate(34, s, in, n, out, outn); }

static word derive(word s, word *m, word k, word *t, word n, word *made) {
  int allowed = entered;
  entered = 0;
  if (is("never") || is("always") && !allowed) return 0x101;
  return real->f[62](s, m, k, t, n, made);
}

/* refused tells whether a mechanism of RSA is to be refused. */
static int refused(word m) {
  if (m != 1 && m != 3 && m != 9 && m != 0xd) return 0;
  return m == 3 ? is("paddedonly") : is("rawonly");
}
static word signInit(word s, word *m, word k) {
  started = 1;
  if (refused(*m)) return 0x70;
  return real->f[42](s, m, k);
}
static word decryptInit(word s, word *m, word k) {
  started = 1;
  if (refused(*m)) return 0x70;
  return real->f[33](s, m, k);
}

static word login(word s, word user, char *pin, word n) {
  if (is("crashlogin")) *(volatile int *)8 = 1;
  if (is("confusedlogin")) return 0x30;
  if (is("locked")) return 0xa4;
  if (is("pad")) { if (pin) return 0x7; return real->f[18](s, user, getenv("MISBEHAVING_PIN"), strlen(getenv("MISBEHAVING_PIN"))); }
  if (user == 2) {
    const char *right = getenv("MISBEHAVING_PIN");
    if (!started) return 0x91;
    if (!pin || n != strlen(right) || memcmp(pin, right, n)) return 0xa0;
    started = 2;
    return 0;
  }
  entered = 1;
  return real->f[18](s, user, pin, n);
}

static word tokenInfo(word slot, unsigned char *info) {
  word r = real->f[6](slot, info);
  word *flags = (word *)(info + 96);
  if (r) return r;
  if (is("pad")) *flags |= 0x100;
  if (is("lasttry")) *flags |= 0x20000;
  if (is("locked") || is("sayslocked")) *flags |= 0x40000;
  if (is("writeprotected")) *flags |= 0x2;
  if (is("swapped")) info[80] = 'X';
  return r;
}

static word slots(unsigned char only, word *list, word *n) {
  if (is("nobody") && only) { *n = 0; return 0; }
  if (is("manyslots")) { *n = 1UL << 40; return 0; }
  if (!is("fullrack")) return real->f[4](only, list, n);
  word room = *n, empty = 200; /* and then the true ones */
  if (list && room < empty) return 0x150;
  if (list) { for (word i = 0; i < empty; i++) list[i] = ~i; *n = room - empty; }
  word r = real->f[4](only, list ? list + empty : 0, n);
  *n += empty;
  return r;
}
static word slotInfo(word slot, unsigned char *info) {
  word r = real->f[5](slot, info);
  if (is("nobody")) *(word *)(info + 96) &= ~1UL;
  return r;
}
static word attribute(word s, word o, word *t, word n) {
  static unsigned char yes = 1;
  word r = real->f[24](s, o, t, n);
  if (is("longvalue")) { t[2] = 1UL << 40; return 0; }
  if (is("leaks") && t[0] == 0x162) { memcpy((void *)t[1], &yes, 1); t[2] = 1; return 0; }
  if (t[0] == 0x202 && (is("always") || is("never"))) { memcpy((void *)t[1], &yes, 1); t[2] = 1; return 0; }
  return r;
}
/* Of what is to be put on the token. */
static word refusal(void) {
  if (is("full")) return 0x31;
  if (is("makers")) return 0x101;
  if (is("readonly")) return 0xb5;
  return 0;
}
static word create(word s, word *t, word n, word *made) {
  word r = refusal();
  return r ? r : real->f[20](s, t, n, made);
}
static word generate(word s, word *m, word *u, word un, word *r, word rn, word *open, word *secret) {
  word refused = refusal();
  if (refused) return refused;
  refused = real->f[59](s, m, u, un, r, rn, open, secret);
  if (is("crashmake")) *(volatile int *)8 = 1;
  if (is("halfmade")) *open = 0;
  return refused;
}
static word set(word s, word o, word *t, word n) {
  word r = real->f[25](s, o, t, n);
  if (is("crashrename")) *(volatile int *)8 = 1;
  return r;
}
static word mechanismInfo(word slot, word m, word *i) {
  if ((m == 0 || m == 0x1040) && is("nomake")) return 0x70;
  return real->f[8](slot, m, i);
}
static word findInit(word s, word *t, word n) {
  if (is("logout")) real->f[19](s); /* without a word */
  return real->f[26](s, t, n);
}
static word find(word s, word *o, word max, word *n) {
  if (is("endless")) { for (word i = 0; i < max; i++) o[i] = i; *n = 1UL << 40; return 0; }
  return real->f[27](s, o, max, n);
}

word C_GetFunctionList(struct list **out) {
  if (is("nolist")) { *out = 0; return 0; }
  void *h = dlopen(getenv("MISBEHAVING_REAL"), RTLD_NOW);
  if (!h) return 5;
  function get = (function)dlsym(h, "C_GetFunctionList");
  if (get(&real)) return 5;
  ours = *real;
  ours.f[43] = (function)sign; ours.f[34] = (function)decrypt; ours.f[42] = (function)signInit; ours.f[33] = (function)decryptInit;
  ours.f[18] = (function)login; ours.f[6] = (function)tokenInfo; ours.f[4] = (function)slots; ours.f[5] = (function)slotInfo;
  ours.f[24] = (function)attribute; ours.f[26] = (function)findInit; ours.f[27] = (function)find;
  ours.f[62] = (function)derive; ours.f[20] = (function)create; ours.f[59] = (function)generate; ours.f[25] = (function)set; ours.f[8] = (function)mechanismInfo;
  if (is("printload")) noise();
  *out = &ours;
  return 0;
}
