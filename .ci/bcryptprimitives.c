/* bcryptprimitives.dll for wine 8, which has none: Go takes its random numbers from its ProcessPrng and ends at
 * once where there is none. Every Go program loads it before anything else, so here is also the place to take back
 * two things of a newer Windows that wine 8 has the names of and not the substance. Both callers know what to do on
 * a Windows without them, and the programs under test stay the ones that ship:
 *
 *   NtSetInformationFile with FileDispositionInformationEx (Windows 10, 1607) is answered with "not implemented",
 *   which os.RemoveAll takes for a failure. Here it is answered as an older Windows does.
 *
 *   VirtualAlloc2 knows no placeholders (Windows 10, 1803), on which go-sqlite3 panics. Here its name is hidden.
 *
 * Of no use outside wine, and never shipped. */
#include <windows.h>
#include <winternl.h>
#include <bcrypt.h>
#include <string.h>

#define FILE_DISPOSITION_INFORMATION_EX 64
#define INVALID_INFO_CLASS ((NTSTATUS)0xC0000003)

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T size) {
  return size == 0 || BCryptGenRandom(NULL, buffer, (ULONG)size, BCRYPT_USE_SYSTEM_PREFERRED_RNG) == 0;
}

typedef NTSTATUS(WINAPI *setter)(HANDLE, PIO_STATUS_BLOCK, PVOID, ULONG, ULONG);
static setter set;

static NTSTATUS WINAPI set_as_before(HANDLE file, PIO_STATUS_BLOCK status, PVOID data, ULONG size, ULONG class) {
  if (class == FILE_DISPOSITION_INFORMATION_EX) return INVALID_INFO_CLASS;
  return set(file, status, data, size, class);
}

/* writable makes a few bytes of a loaded image writable. */
static BOOL writable(volatile void *at, SIZE_T size) {
  DWORD before;
  return VirtualProtect((void *)at, size, PAGE_EXECUTE_READWRITE, &before);
}

/* exported finds a function in a loaded image: where its name stands, and where its address does. */
static BOOL exported(BYTE *image, const char *name, volatile char **spelt, DWORD **address) {
  IMAGE_NT_HEADERS *headers = (void *)(image + ((IMAGE_DOS_HEADER *)image)->e_lfanew);
  IMAGE_EXPORT_DIRECTORY *table = (void *)(image + headers->OptionalHeader.DataDirectory[0].VirtualAddress);
  DWORD *names = (void *)(image + table->AddressOfNames);
  WORD *ordinals = (void *)(image + table->AddressOfNameOrdinals);
  for (DWORD i = 0; i < table->NumberOfNames; i++) {
    if (strcmp((char *)image + names[i], name) != 0) continue;
    *spelt = (volatile char *)image + names[i];
    *address = (DWORD *)(image + table->AddressOfFunctions) + ordinals[i];
    return TRUE;
  }
  return FALSE;
}

BOOL WINAPI DllMain(HINSTANCE self, DWORD reason, LPVOID reserved) {
  static const char hidden[] = "VirtualAlloc2";
  volatile char *name = NULL;
  DWORD *address = NULL;
  if (reason != DLL_PROCESS_ATTACH) return TRUE;

  BYTE *ntdll = (BYTE *)GetModuleHandleA("ntdll.dll");
  if (!exported(ntdll, "NtSetInformationFile", &name, &address)) return FALSE;
  set = (setter)(ntdll + *address);
  ULONG64 offset = (ULONG64)set_as_before - (ULONG64)ntdll; /* 32 bits: .ci/wine loads this image not far above ntdll */
  if (offset >> 32 || !writable(address, sizeof *address)) return FALSE;
  *address = (DWORD)offset;

  BYTE *base = (BYTE *)GetModuleHandleA("kernelbase.dll");
  if (exported(base, hidden, &name, &address)) {
    if (!writable(name, sizeof hidden)) return FALSE;
    name[strlen(hidden) - 1] = '1'; /* the names stay in order, which is how they are searched */
  }
  return TRUE;
}
