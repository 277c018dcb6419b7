"""Codes 100-299, alarms and fire supervision: `code|English|Chinese`, names in our own words."""

TABLE = """
100|Medical alarm|医疗求助报警
101|Personal emergency call|个人紧急求助
102|Expected sign of life missing|未按时报平安
103|Fall of a person detected|检测到人员跌倒
110|Fire alarm|火警
111|Smoke alarm|烟感火警
112|Combustion alarm|燃烧探测火警
113|Sprinkler water flow alarm|消防水流火警
114|Heat alarm|温感火警
115|Manual fire call point operated|手动火灾报警按钮动作
116|Air duct smoke alarm|风管烟感火警
117|Flame alarm|火焰探测火警
118|Fire detector close to alarm|火灾探测器接近报警值
120|Panic alarm|紧急报警
121|Duress code used|胁迫码使用
122|Silent hold-up alarm|无声劫持报警
123|Audible hold-up alarm|有声劫持报警
124|Duress at an entrance, door released|入口胁迫，已放行
125|Duress at an exit, door released|出口胁迫，已放行
126|Suspicious persons signalled by staff|员工示警：发现可疑情况
129|Hold-up confirmed by a second device|劫持报警已复核
130|Burglary alarm|盗窃报警
131|Perimeter burglary alarm|周界盗窃报警
132|Interior burglary alarm|内部盗窃报警
133|24-hour burglary alarm|24 小时防区报警
134|Entry/exit route burglary alarm|出入口防区报警
135|Day/night zone alarm|日夜防区报警
136|Outdoor alarm|室外防区报警
137|Tamper alarm|防拆报警
138|Burglary detector close to alarm|入侵探测器接近报警值
139|Intrusion confirmed by a second device|入侵报警已复核
140|Alarm of unspecified kind|一般报警
141|Polling loop open while armed|布防中总线回路开路
142|Polling loop shorted while armed|布防中总线回路短路
143|Expansion module failed while armed|布防中扩展模块故障
144|Detector tamper|探测器防拆
145|Expansion module tamper|扩展模块防拆
146|Silent burglary alarm|无声盗窃报警
147|Detector supervision lost while armed|布防中探测器失去监控
150|24-hour non-burglary alarm|24 小时非盗窃报警
151|Gas alarm|燃气泄漏报警
152|Refrigeration alarm|制冷异常报警
153|Heating failed|供热中断
154|Water leak|漏水报警
155|Window foil broken|玻璃贴条断裂
156|Trouble of a day zone|日间防区异常
157|Bottled gas running low|瓶装气不足
158|Temperature too high|温度过高
159|Temperature too low|温度过低
161|Air flow lost|气流中断
162|Carbon monoxide alarm|一氧化碳报警
163|Tank level alarm|液位异常报警
168|Humidity too high|湿度过高
169|Humidity too low|湿度过低
200|Fire supervision fault|消防监管异常
201|Fire water pressure low|消防水压低
202|Extinguishing gas (CO2) low|二氧化碳灭火剂不足
203|Sprinkler valve moved|消防闸阀位置异常
204|Fire water level low|消防水位低
205|Fire pump running|消防泵启动
206|Fire pump failed|消防泵故障
"""
