/**
 * The page in a real browser, on a fleet of three nodes and three probers with a real Redis. One test after the other: each
 * begins where the one before has ended. Screenshots are in test/dashboard/screenshots.
 */
import { readFileSync } from 'node:fs'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildStalePage } from '../../scripts/page.ts'
import { countWaits } from '../support/cpu.ts'
import { CLIENTS } from '../support/mmdb.ts'
import { SITE_NAMES } from '../support/scene.ts'
import { until } from '../support/until.ts'
import { ask, post } from '../../src/cli/control.ts'
import type { ExplainResponse } from '../../src/api/explained.ts'
import type { Summary } from '../../src/api/summary.ts'
import type { WorldView } from '../../src/api/world.ts'
import { open, type Opened, picture, screenshot, scroll, seriousFaults, startBrowser } from './browser.ts'
import { FAILOVER_MS, PageFleet, READER, TOKEN } from './fleet.ts'

let fleet: PageFleet
let browser: Browser
let context: BrowserContext
let desk: Opened
let page: Page
/** The page of another node. */
let other: Opened
let viewers: ReturnType<PageFleet['startViewers']>

beforeAll(async () => {
  await buildStalePage()
  fleet = await PageFleet.start()
  browser = await startBrowser(fleet.folder, fleet.network.on('browser'))
  context = await browser.newContext({ colorScheme: 'light' })
  context.setDefaultTimeout(120_000) // only against hanging
})
afterAll(async () => {
  await browser?.close()
  await fleet?.close()
})

/** Gives the token to a page that asks for it. */
async function unlock(at: Page, token: string): Promise<void> {
  await at.getByLabel('Token of this node’s API').fill(token)
  await at.getByRole('button', { name: 'Use it' }).click()
}

/** Fills in what is to be done. */
async function fill(draft: { action?: string; why?: string; pattern?: string }): Promise<void> {
  const actions = page.locator('#actions')
  if (draft.action !== undefined) await actions.getByLabel(/^Do/).selectOption(draft.action)
  if (draft.why !== undefined) await actions.getByLabel('Why').fill(draft.why)
  if (draft.pattern !== undefined)
    await actions.getByLabel('Site, site/service or site/service/VIP').fill(draft.pattern)
}

const inSite = (site: string): string => `ul.sites li[data-site=${site}]`

test('it asks for the token, and shows the fleet; nothing is asked of anybody else', async () => {
  desk = await open(context, fleet.url('n1'))
  page = desk.page
  await page.getByRole('dialog', { name: 'Token' }).waitFor()
  expect(await page.locator('main').count()).toBe(0)
  await unlock(page, READER)
  await page.getByRole('heading', { name: 'All calm' }).waitFor()
  expect(await page.locator('ul.sites li').allTextContents()).toHaveLength(SITE_NAMES.length)
  expect(await page.locator('#fleet tr[data-node]').count()).toBe(3)
  await page.locator('#votes tr[data-prober=p3][data-opinion=up]').waitFor()
  expect(await page.title()).toBe('All calm – n1')
  expect(desk.asked.map((url) => new URL(url).origin)).toEqual(desk.asked.map(() => new URL(fleet.url('n1')).origin))
  expect(desk.headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self';/)
  expect(desk.errors).toEqual([])
  await screenshot(page, 'calm-light')
})

test('on a phone it is no wider than that', async () => {
  await page.setViewportSize({ width: 360, height: 740 })
  await screenshot(page, 'calm-phone')
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360)
  await page.setViewportSize({ width: 1440, height: 1000 })
})

test('a prober that is cut off is a red row, one that is silent a grey one, and no site is down', async () => {
  const row = page.locator('#votes tr[data-prober=p3]')
  fleet.network.cut(['p3'], SITE_NAMES)
  await page.locator('#votes tr[data-prober=p3][data-opinion=down]').waitFor()
  expect(await page.locator('ul.sites li[data-state=up]').count()).toBe(SITE_NAMES.length)
  await row.getByRole('button', { name: 'p3 on iad' }).click()
  const list = page.getByRole('dialog', { name: 'p3 on iad' })
  await list.locator('td[data-opinion=down]').first().waitFor()
  expect(await list.locator('tbody tr').count()).toBe(3)
  await page.keyboard.press('Escape')
  await list.waitFor({ state: 'detached' })

  fleet.process('p2').kill('SIGSTOP')
  await page.locator('#votes tr[data-prober=p2][data-silent]').waitFor()
  await page.locator('.troubles', { hasText: 'Silent: prober p2' }).waitFor()
  await screenshot(page, 'votes-light')
  fleet.process('p2').kill('SIGCONT')
  fleet.network.healAll()
  await page.getByRole('heading', { name: 'All calm' }).waitFor()
  await page.locator('#votes tr[data-prober=p3][data-opinion=up]').waitFor()
})

test('a drain shows its outlook first, asks for the token, and is seen on another node', async () => {
  other = await open(context, `${fleet.url('n2')}#token=${TOKEN}`)
  await other.page.getByRole('heading', { name: 'All calm' }).waitFor()
  expect(other.page.url()).toBe(fleet.url('n2')) // the token is out of the address bar

  const actions = page.locator('#actions')
  const button = actions.getByRole('button', { name: 'Drain iad' })
  await actions.getByLabel('Who').fill('kim@ops')
  await fill({ why: 'disks, ticket 812', pattern: 'iad' })
  expect(await button.isDisabled()).toBe(true) // before the outlook is there
  await actions.getByText('✓ Safe: takes 3 members of 3 services out').waitFor()
  expect(await actions.locator('.outlook tbody tr').allTextContents()).toEqual([
    'api100 %67 %40 %',
    'static100 %67 %25 %',
    'web100 %67 %25 %',
  ])
  expect(await ask<Summary>({ state: fleet.state('n1') }, '/api/summary')).toMatchObject({ overrides: [] })
  await screenshot(page, 'outlook-light')

  await button.click()
  await page.getByText('the token reader does not have the scope drain').waitFor()
  await unlock(page, TOKEN)
  await actions.getByText(/^iad is drained at n1/).waitFor()
  await other.page.locator('#actions tr[data-pattern=iad]', { hasText: 'kim@ops' }).waitFor()
  await other.page.locator(`${inSite('iad')}[data-state=drained]`).waitFor()
  expect(other.errors).toEqual([])
})

test('what leaves too little is said to be unsafe, and is done only on purpose', async () => {
  const actions = page.locator('#actions')
  const button = actions.getByRole('button', { name: 'Drain fra/api' })
  await fill({ why: 'too much at once', pattern: 'fra/api' })
  await actions.getByText('✕ Not safe').waitFor()
  expect(await button.isDisabled()).toBe(true)
  await actions.getByLabel('Do it all the same').check()
  expect(await button.isDisabled()).toBe(false)
  await fill({ pattern: 'far' })
  await actions.getByText('far matches no member').waitFor()
  expect(await actions.getByRole('button', { name: 'Drain far' }).isDisabled()).toBe(true)
})

test('explain says what the API says, on a map and in words', async () => {
  const client = CLIENTS.newYork.v4
  const section = page.locator('#explain')
  await section.getByRole('textbox', { name: 'Name' }).fill('www.demo.example')
  await section.getByLabel('Client’s address or network').fill(client)
  await section.getByRole('button', { name: 'Explain' }).click()
  const said = await ask<ExplainResponse>(
    { state: fleet.state('n1') },
    `/api/explain?name=www.demo.example&client=${client}`,
  )
  const steering = said.steering!
  expect(steering.pick).not.toBe('iad') // it is drained
  await section.locator('.pick', { hasText: steering.pick! }).waitFor()
  expect(await section.locator('.records li').allTextContents()).toEqual(said.answer)
  await section.locator(`path.arc[data-site=${steering.pick}][data-chosen]`).waitFor()
  expect(await section.locator('path.arc').count()).toBe(steering.sites.length)
  const order = await section.locator('table tbody th').allTextContents()
  expect(order).toEqual(steering.sites.map(({ site }) => site))
  for (const { stage, site } of steering.walk.slice(-1))
    await section.locator('.walk li', { hasText: site }).filter({ hasText: stage }).waitFor()
  await section.getByLabel('Client’s address or network').fill('nobody')
  await section.getByRole('button', { name: 'Explain' }).click()
  await section.getByRole('alert').filter({ hasText: '“nobody” is no IP address' }).waitFor()
  await section.getByLabel('Client’s address or network').fill(client)
  await section.getByRole('button', { name: 'Explain' }).click()
  await section.locator('.pick').waitFor()
})

test('the world has each country in the colour of its site now', async () => {
  const section = page.locator('#world')
  await section.scrollIntoViewIfNeeded()
  await section.locator('path.country[data-colour]').first().waitFor()
  const siteOf = async (country: string): Promise<string | undefined> => {
    const view = await ask<WorldView>({ state: fleet.state('n1') }, '/api/world?service=api')
    return view.countries.find((one) => one.country === country)?.sites[0]?.site
  }
  const shown = (country: string) => section.locator(`tr[data-country=${country}] td`).last()
  expect(await siteOf('US')).not.toBe('iad')
  expect(await shown('US').textContent()).toContain(await siteOf('US'))
  expect(await shown('FR').textContent()).toBe('fra 100 %')
  const colour = (country: string) =>
    section.locator(`path.country[data-country=${country}]`).getAttribute('data-colour')
  expect(await colour('FR')).not.toBe(null)
  expect(await colour('US')).toBe(await colour((await siteOf('US')) === 'fra' ? 'FR' : 'SG'))
  await screenshot(page, 'all-light')

  await post({ state: fleet.state('n2') }, '/api/overrides', { pattern: 'iad', action: 'undrain', who: 'kim@ops' })
  await shown('US')
    .filter({ hasText: /^iad 100 %$/ })
    .waitFor()
  expect(await colour('US')).not.toBe(await colour('FR'))
})

test('a site that is killed turns red without a reload, 200 ms after its node knows at most', async () => {
  await page.evaluate(`
    window.redAtMs = new Promise((done) => {
      const look = () => document.querySelector('${inSite('fra')}[data-state=down]') && (done(Date.now()), seen.disconnect())
      const seen = new MutationObserver(look)
      seen.observe(document.body, { subtree: true, childList: true, attributes: true })
    })
    0
  `)
  const waits = countWaits(fleet.pids)
  const killedMs = Date.now()
  fleet.killSite('fra')
  const redMs = Number(await page.evaluate('window.redAtMs'))
  const { changes } = await ask<Summary>({ state: fleet.state('n1') }, '/api/summary')
  const knownMs = Math.min(
    ...changes.filter((one) => one.kind === 'members' && one.after === 'down').map((one) => one.atMs),
  )
  expect(knownMs).toBeGreaterThan(killedMs)
  expect(redMs - knownMs).toBeLessThan(200 + waits())
  expect(redMs - killedMs).toBeLessThan(FAILOVER_MS + 200 + waits() + 900) // what a busy machine may be late, as in failover.test.ts
  await page.getByRole('heading', { name: '3 of 3 services hurt' }).waitFor()
  // a red column: all probers say so
  for (const prober of ['p1', 'p2', 'p3'])
    await page.locator(`#votes tr[data-prober=${prober}] td:nth-child(2)[data-opinion=down]`).waitFor()
  const line = page.locator('#changes li', { hasText: 'fra: 3 members up → down' })
  await line.getByText('3 nodes').click()
  await line.getByText('seen by n1, n2, n3').waitFor()
})

test('answers a second are shown by site, beside its capacity, and by stage', async () => {
  const web = page.locator('#services .row.site').filter({ hasText: 'spill' })
  const asking = new AbortController()
  const asks = (async () => {
    while (!asking.signal.aborted) await fleet.query('n1', 'www.demo.example', CLIENTS.paris.v4, 50)
  })()
  await web.first().waitFor() // the clients of fra, which is dead, are at the next two
  await until('most answers are spilt', async () => (await web.count()) >= 1)
  const [row] = await web.allTextContents()
  expect(row).toMatch(/spill [\d.,]+\/s/)
  expect(row).toMatch(/\d+ % of 33 %/)
  await page.locator('#services').getByText('there is a day before from').waitFor()
  await screenshot(page, 'hurt-light')
  await picture(page)
  asking.abort()
  await asks
})

test('a site that is well again awaits its return, and has its clients again after it', async () => {
  await fleet.startSite('fra')
  await page.locator(`${inSite('fra')}[data-state=recovered]`).waitFor()
  const actions = page.locator('#actions')
  await fill({ action: 'return', why: 'disks are new', pattern: 'fra' })
  await actions.getByText('1 service will have their clients back at fra.').waitFor()
  await actions.getByRole('button', { name: 'Return fra' }).click()
  await actions.getByText('returned: fra/static at n1').waitFor()
  await page.locator(`${inSite('fra')}[data-state=up]`).waitFor()
  await other.page.locator(`${inSite('fra')}[data-state=up]`).waitFor()
})

test('a part of a site is drained in steps', async () => {
  const actions = page.locator('#actions')
  await fill({ action: 'drain', why: 'a new release', pattern: 'sin' })
  await actions.getByLabel(/^Leaving it/).selectOption('30%')
  await actions.getByLabel(/^In steps over/).selectOption('15m')
  await actions.getByText('✓ Safe: takes a part of 3 members').waitFor()
  await actions.getByRole('button', { name: 'Drain sin' }).click()
  await actions.getByText(/^sin is drained to 30 %/).waitFor()
  const shown = other.page.locator('#actions tr[data-pattern=sin]')
  await shown.filter({ hasText: /drained to 30 %, at \d+ % now/ }).waitFor()
  const { overrides } = await ask<Summary>({ state: fleet.state('n2') }, '/api/summary')
  expect(overrides.map(({ override }) => override)).toMatchObject([
    { pattern: 'sin', why: 'a new release', shift: { to: 300 } },
  ])
  await actions.locator('tr[data-pattern=sin]').getByRole('button', { name: 'Undo' }).click()
  await actions.getByText(/^Now drained to 30 %.* by kim@ops/).waitFor()
  await actions.getByRole('button', { name: 'Undrain sin' }).click()
  await shown.waitFor({ state: 'detached' })
})

test('a freeze is on all nodes, and is ended', async () => {
  const actions = page.locator('#actions')
  await fill({ action: 'freeze', why: 'routers are replaced' })
  await actions.getByText('Verdicts will change no answers on any node meanwhile').waitFor()
  await actions.getByRole('button', { name: 'Freeze all nodes' }).click()
  await actions.getByText(/^frozen at n1/).waitFor()
  const line = other.page.locator('.troubles li', { hasText: /^Frozen by kim@ops/ })
  await line.filter({ hasText: 'routers are replaced' }).waitFor()
  await fill({ action: 'unfreeze' })
  await actions.getByRole('button', { name: 'Unfreeze all nodes' }).click()
  await line.waitFor({ state: 'detached' })
})

test('a drill is begun with its outlook before, is shown while it runs, and leaves a report', async () => {
  const actions = page.locator('#actions')
  const drill = page.locator('#drills .drill')
  await fill({ action: 'drill', why: 'every quarter', pattern: 'sin' })
  await actions.getByText('✓ Safe: takes 3 members').waitFor()
  await actions.getByLabel('Abort if').fill('left<50%, last-resort')
  await actions.getByRole('button', { name: 'Drill sin' }).click()
  await drill.getByText('Ends early if left<50% or last-resort.').waitFor()
  expect(await drill.getAttribute('data-outcome')).toBe('running')
  expect(await drill.textContent()).toMatch(/^sin running for \d+ s, until .*kim@ops.*: every quarter\./)
  await screenshot(page, 'drill-light')
  await post({ state: fleet.state('n1') }, '/api/overrides', { pattern: 'sin', action: 'undrain', who: 'kim@ops' })
  await page.locator('#drills .drill[data-outcome=undone]').waitFor()
  await drill.locator('tr', { hasText: /^web100 %67 %$/ }).waitFor()
  // the answers are the fleet's
  expect(await drill.textContent()).toMatch(/those of n\d(?:, n\d)*\./)
})

test('a deploy, a database, an override and a dead site are in one line of time', async () => {
  const line = (about: string, text: string) => page.locator(`#changes li[data-about=${about}]`, { hasText: text })
  fleet.writeDatabase('2026-11-01')
  await line('databases', '2026-11-01').filter({ hasText: '3 nodes' }).waitFor()
  fleet.deploy()
  await line('zones', 'names +1').filter({ hasText: '3 nodes' }).waitFor()
  const lines = page.locator('#changes li')
  const abouts = await lines.evaluateAll((all) => all.map((one) => one.getAttribute('data-about')!))
  const own = ['zones', 'databases', 'override', 'health']
  const first = own.map((about) => abouts.indexOf(about))
  expect(first).not.toContain(-1)
  expect(first).toEqual(first.toSorted((a, b) => a - b))
  const times = await lines.locator('time').evaluateAll((all) => all.map((one) => one.getAttribute('datetime')!))
  expect(times).toEqual(times.toSorted((a, b) => (a > b ? -1 : a < b ? 1 : 0)))
})

test.each([
  ['light', 1440],
  ['dark', 1440],
  ['light', 360],
  ['dark', 360],
] as const)('axe-core finds nothing serious: %s, %i px', async (colorScheme, width) => {
  await page.emulateMedia({ colorScheme })
  await page.setViewportSize({ width, height: 1000 })
  await screenshot(page, `all-${colorScheme}${width === 360 ? '-phone' : ''}`)
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
  expect(await seriousFaults(page)).toEqual([])
})

test('beside the same hour before it says what is less, and what is not known', async () => {
  const { page: at } = await open(context, 'about:blank')
  await at.addInitScript(`
    const real = fetch
    window.fetch = async (path, init) => {
      const response = await real(path, init)
      if (path !== 'api/board' || response.status !== 200) return response
      const board = await response.json()
      for (const { service, sites } of board.services)
        for (const site of sites) site.before = service === 'api' ? { day: 40, week: 50 } : { day: null, week: null }
      return new Response(JSON.stringify(board), response)
    }
  `)
  await at.goto(`${fleet.url('n2')}#token=${TOKEN}`)
  const row = (name: string) => at.locator('#services .row.service', { hasText: name }).locator('[role=cell]')
  await row('api').nth(3).filter({ hasText: '120 −100 %' }).waitFor()
  expect(await row('api').nth(3).locator('.odd').count()).toBe(1)
  await row('api').nth(4).filter({ hasText: 'a week before 150/s' }).waitFor()
  expect(await row('web').nth(3).textContent()).toBe('–')
  await at.close()
})

test('10,000 members scroll as smoothly as 120: few rows are in the page, whichever are in sight', async () => {
  const large = await fleet.startLarge()
  viewers = fleet.startViewers(10)
  const { page: at, errors } = await open(context, 'about:blank')
  await at.emulateMedia({ colorScheme: 'dark' })
  await at.goto(`${large}#token=${TOKEN}`)
  const section = at.locator('#services')
  await section.getByText('10,020 members').waitFor()
  await section.getByLabel('all members').check()
  await section.locator('.row.member').first().waitFor()
  const places = 40
  const all = await scroll(at, '#services .long', places)
  expect(all.rows).toBe(PageFleet.MEMBERS + 4 * PageFleet.SERVICES)
  expect(all.inPage).toBeGreaterThan(20)
  expect(all.inPage).toBeLessThan(120)
  await section.getByText('s333').last().waitFor()
  const filter = section.getByLabel('Filter by name or reason')
  await filter.fill('s33')
  await until('the filter', async () => (await section.locator('.long').getAttribute('aria-rowcount')) === '137')
  const few = await scroll(at, '#services .long', places)
  expect(few.rows).toBe(136)
  expect(all.notchMs).toBeLessThan(2 * few.notchMs)
  await filter.fill('s042')
  await until('the filter', async () => (await section.locator('.row.service').count()) === 1)
  expect(await section.locator('.view').evaluate((view) => view.scrollTop)).toBe(0)
  expect(errors).toEqual([])
  await screenshot(at, 'large-dark', false)
  await at.close()
})

test('ten viewers of 10,000 members get one board, which is made once', async () => {
  await until('four boards', () => new Set(viewers.boards).size >= 4)
  viewers.stop()
  const boards = Map.groupBy(viewers.boards, (etag) => etag)
  // not of the first, which is made when somebody asks, and the last, which is on its way
  expect([...boards.values()].slice(1, -1).map((those) => those.length)).toEqual(
    [...boards.keys()].slice(1, -1).map(() => 10),
  )
})

test('keyboard: what can be done is reached with it alone', async () => {
  const { page: at } = await open(context, `${fleet.url('n2')}#token=${TOKEN}`)
  await at.locator('#votes td button').first().waitFor()
  const reached: string[] = []
  for (let i = 0; i < 160; i++) {
    await at.keyboard.press('Tab')
    reached.push(
      String(
        await at.evaluate(
          `(({ ariaLabel, labels, textContent }) => ariaLabel ?? labels?.[0]?.textContent ?? textContent)(document.activeElement)`,
        ),
      ),
    )
  }
  expect(reached[0]).toContain('Skip to the services')
  for (const name of [
    'p1 on fra',
    'Filter by name or reason',
    'Site, site/service or site/service/VIP',
    'Why',
    'Explain',
  ])
    expect(
      reached.some((text) => text.includes(name)),
      name,
    ).toBe(true)
  await at.close()
})

test('a node that is gone is said to be, and what was known stays', async () => {
  await page.emulateMedia({ colorScheme: 'dark' })
  await page.setViewportSize({ width: 2560, height: 1440 })
  await screenshot(page, 'wall-dark', false)
  fleet.process('n1').kill('SIGSTOP')
  fleet.process('n1').kill('SIGKILL')
  await page.locator('.stale', { hasText: 'the node does not answer' }).waitFor()
  expect(await page.locator('main').count()).toBe(1)
  expect(desk.errors).toEqual([])
  expect(new Set(desk.asked.map((url) => new URL(url).origin)).size).toBe(1)
})

test('the licences of what the page has in it are in the package', () => {
  const text = readFileSync(new URL('../../dashboard/dist/assets/licences.txt', import.meta.url), 'utf8')
  for (const name of ['preact', 'd3-geo', 'world-atlas', 'Natural Earth']) expect(text).toContain(name)
})
