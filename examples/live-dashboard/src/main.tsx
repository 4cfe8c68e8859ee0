import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './ui/App.tsx';
import { applyTheme, keptTheme } from './ui/theme.ts';
import './style/base.css';
import './style/layout.css';
import './style/panels.css';
import './style/charts.css';

applyTheme(keptTheme());
const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no element with the id "root"');
createRoot(root).render(<StrictMode><App /></StrictMode>);
