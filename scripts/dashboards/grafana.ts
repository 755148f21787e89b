/**
 * Dashboards of Grafana 10 and later, as JSON, from what is told of their panels: a panel's queries, unit and thresholds. Panels
 * are laid out in rows of 24 columns. Used by the files beside this one.
 * https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
 */

/** A query, and how its series are called. */
export type Query = readonly [expr: string, legend?: string]

/** What is told of a panel. */
export interface Panel {
  readonly title: string
  readonly type?: 'timeseries' | 'stat' | 'table' | 'state-timeline' | 'bargauge'
  /** Of Grafana: `reqps`, `percentunit`, `s`, `bytes`, `dateTimeFromNow`, … */
  readonly unit: string
  readonly queries: readonly Query[]
  /** Columns of 24, and rows of some 30 pixels. */
  readonly width?: number
  readonly height?: number
  readonly stack?: true
  /** Red from here on, or below it: as in the alarms. */
  readonly above?: number
  readonly below?: number
  /** Alarms that are about what it shows: it leads to their runbooks. */
  readonly alarms?: readonly string[]
  readonly description?: string
  /** Values in words, with a color: of a state timeline or a stat. */
  readonly words?: Readonly<Record<string, readonly [text: string, color: string]>>
}

/** A row with a title, and the panels in it. */
export interface Row {
  readonly title: string
  readonly panels: readonly Panel[]
}

/** A variable: the values of a label. */
export interface Variable {
  readonly name: string
  readonly label: string
  readonly query: string
}

/** What is told of a dashboard. */
export interface Dashboard {
  readonly uid: string
  readonly title: string
  readonly description: string
  readonly variables: readonly Variable[]
  readonly rows: readonly Row[]
}

const COLUMNS = 24
const SOURCE = { type: 'prometheus', uid: '${datasource}' }
/** The heading in docs/runbooks.md of an alarm. */
export const runbookOf = (alarm: string): string => `\${docs}/runbooks.md#${alarm.toLowerCase()}`

/** The JSON of a dashboard. `all`: those that it leads to. */
export function renderDashboard(dashboard: Dashboard, all: readonly Dashboard[]): object {
  const { uid, title, description, variables, rows } = dashboard
  return {
    uid,
    title,
    description,
    tags: ['meridian'],
    schemaVersion: 38,
    editable: true,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    timezone: 'utc',
    graphTooltip: 1,
    links: [
      ...all
        .filter((other) => other.uid !== uid)
        .map((other) => ({ ...LINK, title: other.title, url: `/d/${other.uid}`, keepTime: true })),
      { ...LINK, title: 'Runbooks', icon: 'doc', url: '${docs}/runbooks.md', targetBlank: true },
    ],
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', refresh: 1, hide: 0 },
        ...variables.map(variableOf),
        {
          name: 'docs',
          label: 'Docs',
          type: 'textbox',
          query: 'docs',
          current: { text: 'docs', value: 'docs' },
          hide: 0,
        },
      ],
    },
    annotations: {
      list: [
        {
          name: 'Reloads',
          datasource: SOURCE,
          enable: true,
          iconColor: 'blue',
          expr: 'changes(meridian_world_generation[1m]) > 0',
          titleFormat: '{{instance}}: new zones or databases',
        },
      ],
    },
    panels: layOut(rows),
  }
}

const LINK = { type: 'link', icon: 'dashboard', tags: [], targetBlank: false, asDropdown: false, includeVars: true }

const variableOf = ({ name, label, query }: Variable): object => ({
  name,
  label,
  type: 'query',
  datasource: SOURCE,
  definition: query,
  query: { query, refId: 'PrometheusVariableQueryEditor-VariableQuery' },
  refresh: 2,
  sort: 1,
  multi: true,
  includeAll: true,
  allValue: '.*',
  current: { text: 'All', value: '$__all' },
  hide: 0,
})

/** Rows from above to below, panels from left to right; one that has no room goes under those before it. */
function layOut(rows: readonly Row[]): object[] {
  const laid: object[] = []
  let y = 0
  for (const { title, panels } of rows) {
    laid.push({
      id: laid.length + 1,
      type: 'row',
      title,
      collapsed: false,
      gridPos: { x: 0, y, w: COLUMNS, h: 1 },
      panels: [],
    })
    y++
    let x = 0
    let tallest = 0
    for (const panel of panels) {
      const w = panel.width ?? (panel.type === 'stat' ? 4 : 8)
      const h = panel.height ?? (panel.type === 'stat' ? 4 : 8)
      if (x + w > COLUMNS) {
        y += tallest
        x = 0
        tallest = 0
      }
      laid.push(panelOf(panel, laid.length + 1, { x, y, w, h }))
      x += w
      tallest = Math.max(tallest, h)
    }
    y += tallest
  }
  return laid
}

function panelOf(panel: Panel, id: number, gridPos: object): object {
  const { title, type = 'timeseries', unit, queries, alarms = [], description = '' } = panel
  const isNow = type === 'stat' || type === 'table' || type === 'bargauge'
  return {
    id,
    type,
    title,
    description: [description, alarms.length === 0 ? '' : `Alarms: ${alarms.join(', ')}`].filter(Boolean).join(' '),
    gridPos,
    datasource: SOURCE,
    links: alarms.map((alarm) => ({ title: `Runbook: ${alarm}`, url: runbookOf(alarm), targetBlank: true })),
    targets: queries.map(([expr, legend], i) => ({
      refId: String.fromCharCode(65 + i),
      datasource: SOURCE,
      expr,
      legendFormat: legend ?? '__auto',
      range: !isNow,
      instant: isNow,
      format: type === 'table' ? 'table' : 'time_series',
    })),
    fieldConfig: {
      defaults: { unit, ...thresholdsOf(panel), ...mappingsOf(panel), custom: customOf(panel) },
      overrides: [],
    },
    options: OPTIONS[type],
    ...(type === 'table' && {
      transformations: [{ id: 'organize', options: { excludeByName: { Time: true, __name__: true, job: true } } }],
    }),
  }
}

function thresholdsOf({ type = 'timeseries', above, below }: Panel): object {
  const steps =
    above !== undefined
      ? [
          { color: 'green', value: null },
          { color: 'red', value: above },
        ]
      : below !== undefined
        ? [
            { color: 'red', value: null },
            { color: 'green', value: below },
          ]
        : [{ color: 'blue', value: null }]
  const isColored = type !== 'timeseries' && steps.length > 1
  return { thresholds: { mode: 'absolute', steps }, color: { mode: isColored ? 'thresholds' : 'palette-classic' } }
}

const mappingsOf = ({ words }: Panel): object =>
  words === undefined
    ? {}
    : {
        mappings: [
          {
            type: 'value',
            options: Object.fromEntries(
              Object.entries(words).map(([value, [text, color]], index) => [value, { text, color, index }]),
            ),
          },
        ],
      }

function customOf({ type = 'timeseries', stack, above, below }: Panel): object {
  if (type === 'state-timeline') return { fillOpacity: 80, lineWidth: 0 }
  if (type !== 'timeseries') return {}
  const isBounded = above !== undefined || below !== undefined
  return {
    fillOpacity: stack === true ? 40 : 8,
    lineWidth: 1,
    showPoints: 'never',
    stacking: { mode: stack === true ? 'normal' : 'none', group: 'A' },
    thresholdsStyle: { mode: isBounded ? 'dashed' : 'off' },
  }
}

const LEGEND = { displayMode: 'list', placement: 'bottom', showLegend: true }
const REDUCED = { reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false } }
const OPTIONS: Readonly<Record<NonNullable<Panel['type']>, object>> = {
  timeseries: { legend: LEGEND, tooltip: { mode: 'multi', sort: 'desc' } },
  stat: { ...REDUCED, colorMode: 'background', graphMode: 'none', textMode: 'auto' },
  table: { showHeader: true, footer: { show: false } },
  'state-timeline': { legend: LEGEND, showValue: 'never', mergeValues: true, rowHeight: 0.9 },
  bargauge: { ...REDUCED, displayMode: 'gradient', orientation: 'horizontal' },
}
