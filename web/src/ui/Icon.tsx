// The page's icons: 24 x 24, drawn with the text's colour.
const paths = {
  menu: 'M4 7h16M4 12h16M4 17h10',
  sidebar: 'M4 5h16v14H4zM9.5 5v14',
  plus: 'M12 5v14M5 12h14',
  search: 'M11 4a7 7 0 1 1 0 14 7 7 0 0 1 0-14M16 16l4 4',
  send: 'M12 20V5M5.5 11.5 12 5l6.5 6.5',
  stop: 'M7 7h10v10H7z',
  copy: 'M9 9h10v10H9zM15 9V5H5v10h4',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  redo: 'M19 12a7 7 0 1 1-2.2-5.1M19 4v4.5h-4.5',
  edit: 'M5 19h3.5L19 8.5 15.5 5 5 15.5zM13 7.5l3.5 3.5',
  trash: 'M5 7h14M9.5 7V4.5h5V7M7 7l.8 12.5h8.4L17 7',
  left: 'M14.5 6l-6 6 6 6',
  right: 'M9.5 6l6 6-6 6',
  down: 'M6 9.5l6 6 6-6',
  bulb: 'M9 17.5h6M10 20.5h4M8.6 14.6A6 6 0 1 1 15.4 14.6L15 17.5H9z',
  tool: 'M14.5 6.5a4 4 0 0 0-5.2 5.1L4.5 16.4v3.1h3.1l4.8-4.8a4 4 0 0 0 5.1-5.2L15 12l-3-3z',
  sliders: 'M4 8h9M17 8h3M4 16h3M11 16h9M15 5.5v5M9 13.5v5',
  gear: 'M12 9a3 3 0 1 1 0 6 3 3 0 0 1 0-6M12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.2 2.2M16.2 16.2l2.2 2.2M5.6 18.4l2.2-2.2M16.2 7.8l2.2-2.2',
  close: 'M6 6l12 12M18 6L6 18',
  file: 'M7 3.5h7l4 4v13H7zM14 3.5v4h4',
  clip: 'M8 12.5l5.5-5.5a2.8 2.8 0 0 1 4 4l-7 7a4.6 4.6 0 0 1-6.5-6.5L11 4.5',
  download: 'M12 4v11M7 10.500l5 5 5-5M5 20h14',
  alert: 'M12 4 21 19.5H3zM12 10v4.500M12 17v.2',
  sun: 'M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M5.6 18.4 7 17M17 7l1.4-1.4',
  moon: 'M19 14.500A7.5 7.5 0 0 1 9.5 5a7.5 7.5 0 1 0 9.5 9.500z',
  half: 'M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16M12 4v16M12 8l6.5-.500M12 12h8M12 16l6.5.5',
  key: 'M8 11a4 4 0 1 1 0 8 4 4 0 0 1 0-8M11 12.5 19.5 4M16 7.500l3 3',
  dots: 'M6 12h.01M12 12h.01M18 12h.01',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}
