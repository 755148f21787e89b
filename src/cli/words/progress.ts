/** A bar for those who wait at a terminal while a large folder of zones is parsed; erased when that is done. */
import type { Progress } from '../../load/load.ts'
import { grouped } from '../../units.ts'
import type { Terminal } from '../output.ts'

const EVERY_MS = 100
const BAR = 20
/** Back to the line's begin, and what stands there is gone (ECMA-48 EL). */
const ERASE = '\r\u001B[K'

export interface ProgressBar {
  readonly show: (progress: Progress) => void
  readonly erase: () => void
}

/** `nowMs`: a monotonic clock. The first update is drawn when a moment has passed: what is quick needs no bar. */
export function makeProgressBar(terminal: Terminal, nowMs: () => number = () => performance.now()): ProgressBar {
  let drawnMs = nowMs()
  let isDrawn = false
  return {
    show({ parsed, files, names }) {
      const now = nowMs()
      if (now - drawnMs < EVERY_MS) return
      drawnMs = now
      isDrawn = true
      const done = Math.floor((BAR * parsed) / Math.max(files, 1))
      const bar = `[${'#'.repeat(done)}${' '.repeat(BAR - done)}]`
      const text = `${bar} parsed ${grouped(parsed)}/${grouped(files)} files, ${grouped(names)} names`
      terminal.write(`${ERASE}${text.slice(0, Math.max(terminal.columns - 1, 0))}`)
    },
    erase() {
      if (isDrawn) terminal.write(ERASE)
      isDrawn = false
    },
  }
}
