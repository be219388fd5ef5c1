import assert from 'node:assert/strict';
import { it } from 'node:test';
import { deviceClass } from '../../src/actions/device.js';
import { Fields } from '../../src/http/fields.js';

const AGENTS = {
  phone: [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
    'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36',
    'Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0',
    'Mozilla/5.0 (Linux; Android 9; CUBOT NOTE 20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36',
    'Opera/9.80 (J2ME/MIDP; Opera Mini/9.80 (S60; SymbOS; Opera Mobi/23.348; U; en) Presto/2.5.25 Version/10.54',
  ],
  tablet: [
    'Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1.2 Mobile/15E148 Safari/604.1',
    'Mozilla/5.0 (Linux; Android 13; SM-X906C) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
    'Mozilla/5.0 (Android 15; Tablet; rv:145.0) Gecko/145.0 Firefox/145.0',
  ],
  desktop: [
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0',
    'Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; Tablet PC 2.0)',
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0',
    'curl/8.14.1',
    '',
  ],
  bot: [
    'Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
    'Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)',
    'facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)',
    'Baiduspider+(+http://www.baidu.com/search/spider.htm)',
  ],
} as const;

for (const [device, agents] of Object.entries(AGENTS)) {
  for (const agent of agents) {
    it(`takes "${agent.slice(0, 90)}" for a ${device}`, () => {
      assert.equal(deviceClass(new Fields(['User-Agent', agent])), device);
    });
  }
}

it('believes a client that calls itself mobile, unless it says that it is a bot or a tablet', () => {
  const mobile = (agent: string) => deviceClass(new Fields(['Sec-CH-UA-Mobile', '?1', 'User-Agent', agent]));
  assert.equal(mobile('Mozilla/5.0 (X11; Linux x86_64)'), 'phone');
  assert.equal(mobile('Googlebot/2.1'), 'bot');
  assert.equal(mobile('Mozilla/5.0 (iPad)'), 'tablet');
});

it('takes whoever says nothing for a desktop', () => {
  assert.equal(deviceClass(new Fields()), 'desktop');
});
