import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { loadHugePages } from '../../src/linux/huge-pages.ts'
import { loadLibc } from '../../src/linux/libc.ts'

const MIB = 1 << 20

/** Flags of the mapping that holds an address, as smaps has them (proc(5), VmFlags). */
function flagsAt(address: number): readonly string[] {
  let holds = false
  for (const line of readFileSync('/proc/self/smaps', 'latin1').split('\n')) {
    const range = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line)
    if (range !== null) holds = parseInt(range[1]!, 16) <= address && address < parseInt(range[2]!, 16)
    else if (holds && line.startsWith('VmFlags:')) return line.slice(8).trim().split(' ')
  }
  throw new Error('no such mapping')
}

test.skipIf(process.platform !== 'linux')('large buffers ask for large pages, and small ones do not', async () => {
  const { addressOf } = await loadLibc()
  const preferHugePages = await loadHugePages()
  const large = new SharedArrayBuffer(16 * MIB)
  const other = new SharedArrayBuffer(16 * MIB)
  const small = new SharedArrayBuffer(MIB)
  for (const buffer of [large, small]) preferHugePages(buffer)
  const middle = (buffer: SharedArrayBuffer): number => addressOf(buffer) + buffer.byteLength / 2
  expect(flagsAt(middle(large))).toContain('hg')
  expect(flagsAt(middle(other))).not.toContain('hg')
  expect(flagsAt(middle(small))).not.toContain('hg')
})
