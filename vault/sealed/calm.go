package sealed

import (
	"bytes"

	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
	_ "github.com/ncruces/go-sqlite3/vfs/adiantum" // registers the VFS of that name
)

// vfsName is what our VFS is registered as.
const vfsName = "countersign-sealed"

// calm is the Adiantum VFS, made harmless for the rest of the program. Its hash
// uses AVX2 and leaves the upper halves of the vector registers dirty, after which
// the processor's own SHA-256 instructions are some 200 times slower (14 MB/s,
// measured on Sapphire Rapids) until something cleans them: every digest of a
// message after a look at the database.
type calm struct{ vfs.VFS }

// registerVFS makes the VFS known to SQLite. Again is no harm.
func registerVFS() { vfs.Register(vfsName, calm{vfs.Find("adiantum")}) }

// OpenFilename implements [vfs.VFSFilename].
func (c calm) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := vfsutil.WrapOpenFilename(c.VFS, name, flags)
	if inner, ok := f.(enciphered); ok && err == nil {
		return &calmFile{enciphered: inner}, flags, nil
	}
	return f, flags, err // a file that is not enciphered, since it holds names only
}

// enciphered is everything that a file of the Adiantum VFS can do; embedding it
// passes all of it on.
type enciphered interface {
	vfs.FileUnwrap
	vfs.FileLockState
	vfs.FileChunkSize
	vfs.FileSizeHint
	vfs.FileHasMoved
	vfs.FileOverwrite
	vfs.FileSync
	vfs.FileCommitPhaseTwo
	vfs.FileBatchAtomicWrite
	vfs.FileCheckpoint
	vfs.FilePragma
	vfs.FileBusyHandler
	vfs.FileSharedMemory
}

type calmFile struct {
	enciphered
	a, b [256]byte
}

// clean runs code of the runtime that ends with VZEROUPPER, the instruction that
// the hash forgets. Comparing 64 bytes and more does, where there is AVX2.
func (f *calmFile) clean() {
	if !bytes.Equal(f.a[:], f.b[:]) {
		panic("sealed: zeros differ")
	}
}

// Unwrap lets the Adiantum VFS find its own file, to share its key with the log.
func (f *calmFile) Unwrap() vfs.File { return f.enciphered }

// ReadAt implements [io.ReaderAt].
func (f *calmFile) ReadAt(p []byte, off int64) (int, error) {
	defer f.clean()
	return f.enciphered.ReadAt(p, off)
}

// WriteAt implements [io.WriterAt].
func (f *calmFile) WriteAt(p []byte, off int64) (int, error) {
	defer f.clean()
	return f.enciphered.WriteAt(p, off)
}
