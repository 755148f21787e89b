/** A progress bar on a terminal while `check` parses a large folder of zones; erased when that is done. */
import type { Progress } from '../../load/load.ts'
import { grouped } from '../../units.ts'
import type { Terminal } from '../output.ts'

const EVERY_MS = 100
const BAR = 20
/** Returns to the beginning of the line and erases it (ECMA-48 EL). */
const ERASE = '\r\u001B[K'

/** A progress bar. */
export interface ProgressBar {
  /** Draws the progress, a few times a second at most. */
  readonly show: (progress: Progress) => void
  /** Erases the bar. */
  readonly erase: () => void
}

/** Makes a bar. `nowMs`: a monotonic clock, in ms. Nothing is drawn in the first moment: quick work needs no bar. */
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
