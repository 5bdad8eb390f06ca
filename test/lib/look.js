// Opens pages in a browser and tells what is there:
//   node look.js '[{"file": ..., "width": ..., "height": ..., "dark": true, "shot": ...}, ...]'
// from a folder that has playwright-core; prints a line of JSON for each.
const { chromium } = require(process.cwd() + '/node_modules/playwright-core');

const inPage = () => {
  const text = selector => [...document.querySelectorAll(selector)].map(element => element.innerText.trim());
  const shown = element => element.getClientRects().length > 0;
  return {
    title: document.title,
    names: text('bdi'),
    headings: text('h2'),
    states: text('.state'),
    broken: text('p.bad'),
    body: document.body.innerText,
    elements: [...new Set([...document.querySelectorAll('*')].map(element => element.localName))].sort(),
    handlers: [...document.querySelectorAll('*')].flatMap(element => [...element.attributes])
      .filter(attribute => /^on|^(src|href|action|xlink:href)$/i.test(attribute.name)).map(attribute => attribute.name),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    beyond: [...document.querySelectorAll('section *')].filter(element => shown(element) && !element.closest('svg')
      && element.getBoundingClientRect().right > document.documentElement.clientWidth + 1).length,
    rows: document.querySelectorAll('tbody tr').length,
    bars: [...document.querySelectorAll('svg.chart path')].map(path => (path.getAttribute('d').match(/M/g) || []).length),
    background: getComputedStyle(document.body).backgroundColor,
  };
};

(async () => {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu',
    '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
  for (const { file, width, height, dark, shot } of JSON.parse(process.argv[2])) {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme: dark ? 'dark' : 'light' });
    const said = [], asked = [];
    page.on('console', message => said.push(message.text()));
    page.on('pageerror', error => said.push(String(error)));
    page.on('dialog', dialog => { said.push(dialog.message()); dialog.dismiss(); });
    page.on('request', request => asked.push(request.url()));
    await page.goto(file.startsWith('http') ? file : 'file://' + file);
    const seen = await page.evaluate(inPage);
    if (shot) await page.screenshot({ path: shot, fullPage: true });
    console.log(JSON.stringify({ ...seen, said, asked }));
    await page.close();
  }
  await browser.close();
})();
