/** Debian's chromium, driven by playwright-core; on a host of a network of its own where a test has one. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import axe from 'axe-core'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'

/** Screenshots go here: light, dark, phone. They are to be looked at; git ignores them. */
const SCREENSHOTS = join(import.meta.dirname, 'screenshots')

/** Starts it. `via`: before the command, to run it elsewhere; `folder`: for its script. */
export async function startBrowser(folder: string, via: readonly string[] = []): Promise<Browser> {
  const script = join(folder, 'chromium')
  writeFileSync(script, `#!/bin/sh\nexec ${via.join(' ')} chromium-headless-shell "$@"\n`)
  chmodSync(script, 0o755)
  return chromium.launch({
    executablePath: script,
    args: ['--no-sandbox', '--disable-gpu', '--force-color-profile=srgb'],
  })
}

export interface Opened {
  readonly page: Page
  /** The headers of the document. */
  readonly headers: Readonly<Record<string, string>>
  /** URLs that the page asked for, errors and refusals that it reported. */
  readonly asked: string[]
  readonly errors: string[]
}

/** Opens the page of a node, at the size of a desk unless told otherwise. */
export async function open(
  context: Browser | BrowserContext,
  url: string,
  size: { readonly width: number; readonly height: number } = { width: 1440, height: 1000 },
): Promise<Opened> {
  const page = await context.newPage()
  await page.setViewportSize(size)
  const asked: string[] = []
  const errors: string[] = []
  page.on('request', (request) => asked.push(request.url()))
  page.on('pageerror', (error) => errors.push(String(error)))
  page.on('console', (message) => {
    // a status of the API that the page asked for is no error of the page
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) errors.push(message.text())
  })
  const response = await page.goto(url)
  return { page, headers: response?.headers() ?? {}, asked, errors }
}

/** What axe-core finds that is serious, or worse. It runs in the page, which has no frames, and tells violations alone. */
export async function seriousFaults(page: Page): Promise<string[]> {
  await page.evaluate(`${axe.source}; 0`)
  const { violations }: axe.AxeResults = await page.evaluate(`axe.run({ resultTypes: ['violations'] })`)
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary ?? ''}`))
}

/** What it takes to scroll through a LongTable. */
export interface Scrolled {
  /** CPU time of the page's main thread in script, style and layout for NOTCH_PX, in ms: the median. */
  readonly notchMs: number
  /** Rows of the table, and how many of them were in the page at most. */
  readonly rows: number
  readonly inPage: number
}

/** Three turns of a mouse wheel: ten rows are new. */
const NOTCH_PX = 300

/** Steps of this part of a length come everywhere, far from the last one each: all rows in the page are new at each. */
const GOLDEN = 0.618

/** Scrolls a LongTable by NOTCH_PX at so many places of it, and to its end. */
export async function scroll(page: Page, table: string, places: number): Promise<Scrolled> {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Performance.enable', { timeDomain: 'threadTicks' }) // CPU time: the machine is shared
  const workMs = async (): Promise<number> => {
    const { metrics } = await cdp.send('Performance.getMetrics')
    const own = ['ScriptDuration', 'LayoutDuration', 'RecalcStyleDuration']
    return metrics.reduce((sum, { name, value }) => (own.includes(name) ? sum + 1000 * value : sum), 0)
  }
  const scrollTo = (place: string): Promise<number> =>
    page.evaluate(`(async () => {
      const view = document.querySelector('${table} .view')
      const end = view.scrollHeight - view.clientHeight
      view.scrollTop = ${place}
      for (let frames = 0; frames < 2; frames++) await new Promise(requestAnimationFrame)
      return view.querySelectorAll('.row').length
    })()`)
  const costs: number[] = []
  let inPage = 0
  for (let i = 0; i < places; i++) {
    await scrollTo(`${(i * GOLDEN) % 1} * (end - ${NOTCH_PX})`)
    const beforeMs = await workMs()
    inPage = Math.max(inPage, await scrollTo(`view.scrollTop + ${NOTCH_PX}`))
    costs.push((await workMs()) - beforeMs)
  }
  await cdp.detach()
  await scrollTo('end')
  const rows = Number(await page.locator(table).getAttribute('aria-rowcount')) - 1
  return { notchMs: costs.toSorted((a, b) => a - b)[places >> 1]!, rows, inPage }
}

export async function screenshot(page: Page, name: string, fullPage = true): Promise<void> {
  mkdirSync(SCREENSHOTS, { recursive: true })
  await page.evaluate('scrollTo(0, 0)') // the first line stays where it is in a tall picture
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage })
}

const PICTURE = resolve(import.meta.dirname, '../../docs/page.png')

/** The picture of README, if the environment has PICTURE: what is in sight of a page of that size. */
export async function picture(page: Page): Promise<void> {
  if (process.env['PICTURE'] === undefined) return
  const size = page.viewportSize()
  await page.setViewportSize({ width: 1200, height: 720 })
  await page.evaluate('scrollTo(0, 0)')
  await page.screenshot({ path: PICTURE })
  if (size !== null) await page.setViewportSize(size)
}
