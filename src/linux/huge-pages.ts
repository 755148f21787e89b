/**
 * Large pages for large arrays. A lookup in a trie or a hash table of many megabytes is a walk through memory in no order,
 * and with pages of 4 KiB each step is a miss in the CPU's page tables besides. Linux gives pages of 2 MiB to memory
 * for which a process asks (madvise(2), MADV_HUGEPAGE), unless the host has transparent huge pages switched off.
 */
import { loadLibc } from './libc.ts'
import { MADV_HUGEPAGE } from './numbers.ts'

const HUGE_PAGE_BYTES = 2 << 20

/** Asks for large pages for a buffer that nothing has been written to yet. It is advice: nothing tells whether it is taken. */
export type PreferHugePages = (buffer: SharedArrayBuffer) => void

/** Loads what asks for large pages. Where it cannot be loaded, pages stay as they are. */
export async function loadHugePages(): Promise<PreferHugePages> {
  if (process.platform !== 'linux') return () => {}
  try {
    const { libc, addressOf } = await loadLibc()
    const madvise = libc.func('int madvise(int64_t address, uint64_t size, int advice)')
    return (buffer) => {
      if (buffer.byteLength < HUGE_PAGE_BYTES) return
      const address = addressOf(buffer)
      // whole large pages inside the buffer: its first and last bytes share pages with other memory
      const from = Math.ceil(address / HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES
      const size = Math.floor((address + buffer.byteLength - from) / HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES
      if (size > 0) madvise(from, size, MADV_HUGEPAGE)
    }
  } catch {
    return () => {}
  }
}
